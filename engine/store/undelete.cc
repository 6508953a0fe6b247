#include "store/undelete.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "ckp/error.h"
#include "ckp/shell_word.h"
#include "store/hold.h"
#include "store/index_sync.h"
#include "store/marks.h"
#include "store/run_scan.h"
#include "store/trash.h"

namespace ckp {
namespace {

// A checkpoint of the trash, read and found whole.
struct Returning {
  ScannedPack file;
  ScannedCheckpoint checkpoint;
  std::string directory;  // below runs/
};

ScannedPack trashed_file(StoreCore& core, const Uuid& id) {
  for (ScannedPack& file : trash_files(core.fs(), core.layout())) {
    if (file.name.uuid == id) return std::move(file);
  }
  const std::string root = core.layout().root.string();
  throw Error(
      ErrorCode::not_found,
      fmt::format("{}: checkpoint {} is not in the trash{}; nothing was changed; see: "
                  "ckptool ls {} --trash",
                  root, id.short_hex(),
                  find_live(core, id) ? ", it is in the store" : " (any more)", shell_word(root)));
}

// What is in the trash is a root, so this finds only what other hands or a bad disk have done.
void check_whole(StoreCore& core, const Returning& one) {
  const PackSet packs =
      open_referred_packs(core.fs(), core.layout(), one.directory, one.checkpoint.manifest);
  for (const format::ChunkReference& reference : one.checkpoint.manifest.references) {
    if (reference.address.pack.is_nil()) continue;
    const OpenPack& pack = packs.at(reference.address.pack);
    const auto* entry = pack.directory.find_chunk(reference.address.number);
    if (entry != nullptr && entry->raw_digest == reference.raw_digest &&
        entry->raw_size == reference.raw_size) {
      continue;
    }
    throw Error(ErrorCode::corrupt, fmt::format("{}: chunk {} of pack {}, to which it refers, is "
                                                "missing",
                                                one.file.path.string(), reference.address.number,
                                                reference.address.pack.hex()));
  }
}

Returning read_returning(StoreCore& core, const Uuid& id) {
  Returning one;
  one.file = trashed_file(core, id);
  one.directory = one.file.path.parent_path().filename().string();
  try {
    one.checkpoint = read_checkpoint(core.fs(), one.file);
    check_whole(core, one);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::corrupt) throw;
    throw Error(error.code(),
                fmt::format("checkpoint {} cannot be brought back, and nothing was changed; save "
                            "what can be saved: ckptool repair {}\n  {}",
                            id.short_hex(), shell_word(core.layout().root.string()), error.what()));
  }
  return one;
}

std::filesystem::path live_path(const Returning& one) {
  PackName name = one.file.name;
  name.state = PackState::live;
  name.retired = 0;
  name.trash_until = 0;
  return one.file.path.parent_path() / to_file_name(name);
}

// An index that lacks one of the runs hears of all of it by a resync.
bool lists_all_runs(StoreCore& core, const StoreLock& lock, const std::vector<Returning>& all) {
  bool listed = false;
  core.ask_if_trusted(lock, [&](const Index& index) {
    listed = std::all_of(all.begin(), all.end(), [&](const Returning& one) {
      return index.run(one.checkpoint.record.run).has_value();
    });
  });
  return listed;
}

// T6.
void rename_all(StoreCore& core, StoreLock& lock, const std::vector<Returning>& all) {
  std::set<std::filesystem::path> touched;
  for (const Returning& one : all) touched.insert(one.file.path.parent_path());
  lock.begin(touched.size() == 1 ? std::string_view(all.front().directory) : all_runs);
  for (const Returning& one : all) core.fs().rename(one.file.path, live_path(one));
  for (const auto& directory : touched) core.fs().sync_directory(directory);
}

}  // namespace

std::vector<CheckpointRecord> undelete(StoreCore& core, std::span<const Uuid> checkpoints) {
  core.check_writable();
  std::vector<CheckpointRecord> records;
  if (checkpoints.empty()) return records;
  DeletionLock deletion(core);
  StoreLock lock = core.lock();  // T5
  deletion.check_not_on_hold(lock, "brought back");
  const auto facts = known_facts(core.fs(), core.layout(), core.uuid());
  std::vector<Returning> all;
  std::set<Uuid> seen;
  for (const Uuid& id : checkpoints) {
    if (!seen.insert(id).second) continue;
    Returning& one = all.emplace_back(read_returning(core, id));
    if (facts) facts->apply_to(one.checkpoint.record);
    records.push_back(one.checkpoint.record);
  }
  core.prepare_for_save(lock);
  const bool listed = facts && lists_all_runs(core, lock, all);
  rename_all(core, lock, all);
  core.finish_commit(lock, listed, [&](IndexUpdate& update) {  // T7
    for (const Returning& one : all) {
      update.put_checkpoint(one.checkpoint.record);
      update.put_chunks(chunk_rows(one.checkpoint.pack.directory));
    }
  });
  denounce_trash(core);
  return records;
}

}  // namespace ckp
