#include "store/commit.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "ckp/error.h"
#include "store/run_scan.h"

namespace ckp {
namespace {

// The listing of a run with ten thousand checkpoints takes longer than a small save: it is made
// when something has to be looked for.
class LazyListing {
 public:
  LazyListing(StoreCore& core, const std::string& directory) : core_(core), directory_(directory) {}
  const RunDirectory& get() {
    if (!listed_) listed_ = list_run(core_.fs(), core_.layout(), directory_);
    return *listed_;
  }

 private:
  StoreCore& core_;
  const std::string& directory_;
  std::optional<RunDirectory> listed_;
};

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
void check_references(StoreCore& core, LazyListing& own, const Commit& commit) {
  for (const auto& [uuid, path] : commit.referred_packs) {
    if (!path.empty() && core.fs().status(path)) continue;
    if (find_pack(core.fs(), core.layout(), own.get(), uuid)) continue;  // retired meanwhile
    throw Error(ErrorCode::corrupt,
                fmt::format("{}: pack {}, whose chunks this save shares, has disappeared; save "
                            "again to store them anew",
                            own.get().path.string(), uuid.hex()));
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

// C6. When the directory cannot be made durable the packs must not stay visible.
void sync_or_withdraw(FileSystem& fs, const std::filesystem::path& directory,
                      const std::vector<Commit*>& renamed) {
  try {
    fs.sync_directory(directory);
  } catch (const Error&) {
    for (const Commit* commit : renamed) {
      PackName name = *parse_pack_name(commit->path.filename().string());
      name.state = PackState::dead;
      try {
        fs.rename(commit->path, directory / to_file_name(name));
      } catch (const Error&) {
        // Nothing more can be done here; `begin != end` makes the next process sync or find it.
      }
    }
    throw;
  }
}

// Runs `step` on each commit that has not failed yet. What it throws is that commit's error.
template <typename Step>
void for_each_sound(std::span<Commit> commits, const Step& step) noexcept {
  for (Commit& commit : commits) {
    if (commit.error) continue;
    try {
      step(commit);
    } catch (...) {
      commit.error = std::current_exception();
    }
  }
}

void fail_all(std::span<Commit> commits, const std::exception_ptr& error) noexcept {
  for (Commit& commit : commits) {
    if (!commit.error) commit.error = error;
  }
}

void commit_under_lock(StoreCore& core, std::uint64_t last_seen, std::span<Commit> commits,
                       StoreLock& lock) {
  FileSystem& fs = core.fs();
  const std::string& directory = commits.front().registration->directory();
  const auto path = core.layout().run(directory);
  LazyListing listing(core, directory);
  const bool seen = lock.commit_number() == last_seen;  // an attempt that opens raises it (A4)
  for_each_sound(commits, [&](Commit& commit) {
    if (!seen) check_attempt(listing.get(), commit.record);  // C2
    check_references(core, listing, commit);                 // C3
  });
  const bool trusted = core.is_trusted(lock);
  for_each_sound(commits, [&](Commit& commit) {
    PackName name;
    name.uuid = commit.registration->uuid();
    name.step = commit.record.step;
    name.commit = commit.record.commit = lock.begin(directory);  // C4
    commit.path = path / to_file_name(name);
  });
  std::vector<Commit*> renamed;
  renamed.reserve(commits.size());
  std::size_t announced = 0;
  for_each_sound(commits, [&](Commit& commit) {
    ++announced;
    rename_pack(fs, *commit.registration, commit.path);  // C5
    commit.registration->committed();
    renamed.push_back(&commit);
  });
  if (renamed.empty()) return;
  sync_or_withdraw(fs, path, renamed);  // C6: the commit point
  // A rename that failed may have been done all the same: the next one looks, as `end` stays
  // behind.
  if (renamed.size() < announced) return;
  core.finish_commit(lock, trusted, [&](IndexUpdate& update) {  // C7, C8
    for (const Commit* commit : renamed) {
      update.put_checkpoint(commit->record);
      update.put_chunks(commit->chunks);
    }
  });
}

}  // namespace

void commit_packs(StoreCore& core, std::uint64_t last_seen, std::span<Commit> commits) noexcept {
  if (commits.empty()) return;
  try {
    StoreLock lock = core.lock();  // C1
    commit_under_lock(core, last_seen, commits, lock);
  } catch (...) {
    fail_all(commits, std::current_exception());
  }  // C9
}

}  // namespace ckp
