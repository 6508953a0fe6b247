#include "store/commit.h"

#include <fmt/format.h>

#include <algorithm>

#include "ckp/error.h"
#include "store/run_scan.h"

namespace ckp {
namespace {

// C2. Journals are named by attempt, so the listing tells.
void check_attempt(const RunDirectory& directory, const CheckpointRecord& record) {
  std::uint32_t newest = 0;
  for (const std::string& name : directory.names) {
    if (const auto journal = parse_journal_name(name)) newest = std::max(newest, journal->attempt);
  }
  if (newest > record.attempt) {
    throw Error(ErrorCode::locked,
                fmt::format("run {}: attempt {} has taken the run over from attempt {}; this "
                            "process can no longer save into it",
                            record.run_name, newest, record.attempt));
  }
}

// C3. Registering (S1) keeps them from being collected; this finds files lost by other hands.
void check_references(StoreCore& core, const RunDirectory& own, const std::vector<Uuid>& packs) {
  for (const Uuid& uuid : packs) {
    const auto is_it = [&](const ScannedPack& pack) {
      return pack.name.uuid == uuid &&
             (pack.name.state == PackState::live || pack.name.state == PackState::retired);
    };
    if (std::any_of(own.packs.begin(), own.packs.end(), is_it)) continue;
    if (find_pack(core.fs(), core.layout(), own.name, uuid)) continue;
    throw Error(ErrorCode::corrupt,
                fmt::format("{}: pack {}, whose chunks this save shares, has disappeared; save "
                            "again to store them anew",
                            own.path.string(), uuid.hex()));
  }
}

// C5. A network file system repeats a request whose answer was lost, and then the file is not there
// any more: it has its new name already.
void rename_pack(FileSystem& fs, Registration& registration, const std::filesystem::path& path) {
  try {
    fs.rename(registration.path(), path);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::not_found) throw;
    const FileStatus own = registration.file().status();
    const auto found = fs.status(path);
    if (!found || found->device != own.device || found->inode != own.inode) throw;
  }
}

// C6. When the directory cannot be made durable the pack must not stay visible.
void sync_or_withdraw(FileSystem& fs, const std::filesystem::path& directory,
                      const std::filesystem::path& pack, PackName name) {
  try {
    fs.sync_directory(directory);
  } catch (const Error&) {
    name.state = PackState::dead;
    try {
      fs.rename(pack, directory / to_file_name(name));
    } catch (const Error&) {
      // Nothing more can be done here; `begin != end` makes the next process sync or find it.
    }
    throw;
  }
}

}  // namespace

CommitResult commit_pack(StoreCore& core, Registration& registration,
                         const CommitRequest& request) {
  FileSystem& fs = core.fs();
  const std::string& directory = registration.directory();
  StoreLock lock = core.lock();  // C1
  const RunDirectory run = list_run(fs, core.layout(), directory);
  check_attempt(run, request.record);                   // C2
  check_references(core, run, request.referred_packs);  // C3
  const bool trusted = core.is_trusted(lock);

  PackName name;
  name.uuid = registration.uuid();
  name.step = request.record.step;
  name.commit = lock.begin(directory);  // C4
  const auto path = run.path / to_file_name(name);
  rename_pack(fs, registration, path);  // C5
  registration.committed();
  sync_or_withdraw(fs, run.path, path, name);  // C6: the commit point

  CheckpointRecord record = request.record;
  record.commit = name.commit;
  core.finish_commit(lock, trusted, [&](IndexUpdate& update) {  // C7, C8
    update.put_checkpoint(record);
    update.put_chunks(request.chunks);
  });
  return {name.commit, path};  // C9
}

}  // namespace ckp
