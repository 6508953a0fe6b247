#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "ckp/error.h"
#include "retention/prune.h"
#include "retention/rewrite.h"
#include "runs/journal.h"
#include "store/hold.h"
#include "store/marks.h"
#include "store/reserve.h"
#include "store/run_impl.h"

namespace ckp {
namespace {

struct Target {
  std::size_t run = 0;  // index into the snapshot's runs
  Departures departures;
};

// What it has in the trash goes with the run.
Target find_target(StoreCore& core, const Snapshot& snapshot, const RunDirectory& directory) {
  Target target;
  target.departures.expired = expired_trash(snapshot, core.clock().now_ns(), false);
  const auto found =
      std::find_if(snapshot.runs.begin(), snapshot.runs.end(),
                   [&](const RunFacts& run) { return run.directory.name == directory.name; });
  if (found == snapshot.runs.end()) throw no_such_run(core, directory.name);
  target.run = static_cast<std::size_t>(found - snapshot.runs.begin());
  for (const auto& [uuid, pack] : snapshot.packs) {
    if (pack.run != target.run) continue;
    if (pack.file.name.state == PackState::live) target.departures.going.insert(uuid);
    if (pack.file.name.in_trash()) target.departures.expired.insert(uuid);
  }
  return target;
}

void check_not_held(StoreCore& core, const RunFacts& run) {
  if (!run_is_held(core.fs(), run.directory.path, run.directory.names)) return;
  throw Error(ErrorCode::locked, fmt::format("run {}: a process is training it; end it first",
                                             run.record ? run.record->name : run.directory.name));
}

// Packs of the run that stay, because other runs refer to them or a save is in progress.
bool something_stays(const Snapshot& snapshot, const Target& target, const Collection& collection) {
  const auto stays = [&](const auto& entry) {
    return entry.second.run == target.run && !collection.doomed.contains(entry.first);
  };
  return std::any_of(snapshot.packs.begin(), snapshot.packs.end(), stays);
}

// Without its journals and checkpoints a directory is no run any more, only a holder of chunks.
void forget_journals(FileSystem& fs, const RunDirectory& directory) {
  for (const std::string& name : directory.names) {
    if (!parse_journal_name(name)) continue;
    fs.remove(directory.path / name);
  }
  fs.sync_directory(directory.path);
}

// One rename takes the whole directory out of sight; what is in it is unlinked afterwards.
std::filesystem::path move_away(StoreCore& core, const RunDirectory& directory) {
  auto dead = directory.path;
  dead += ".dead";
  core.fs().rename(directory.path, dead);
  core.fs().sync_directory(core.layout().runs());
  return dead;
}

enum class Which { any, empty };

void check_empty_run(const RunFacts& run, const Snapshot& snapshot, std::size_t number) {
  const bool empty = std::none_of(snapshot.packs.begin(), snapshot.packs.end(), [&](auto& pack) {
    return pack.second.run == number && pack.second.file.name.is_kept();
  });
  if (empty) return;
  throw Error(ErrorCode::already_exists,
              fmt::format("{}: the run has checkpoints", run.directory.path.string()));
}

// Under the store's lock: the run is gone afterwards, whatever is left to unlink.
Collection take_away(StoreCore& core, PackCache& cache, const RunDirectory& directory,
                     const PruneOptions& options, Which which, DeletionLock& deletion,
                     Snapshot& snapshot) {
  StoreLock lock = core.lock();
  deletion.check_not_on_hold(lock);
  snapshot = take_snapshot(core, cache);
  const Target target = find_target(core, snapshot, directory);
  const RunFacts& run = snapshot.runs[target.run];
  check_not_held(core, run);
  if (which == Which::empty) check_empty_run(run, snapshot, target.run);
  check_not_aliased(core, target.departures.going);
  Collection collection = plan_collection(snapshot, target.departures, options.waste_threshold);
  retire_and_collect(core, lock, snapshot, target.departures, collection);

  const bool trusted = core.is_trusted(lock);
  lock.begin(all_runs);
  if (something_stays(snapshot, target, collection)) {
    forget_journals(core.fs(), run.directory);
  } else {
    snapshot.dead_directories.push_back(move_away(core, run.directory));
  }
  core.finish_removal(lock, trusted,
                      [&](IndexUpdate& update) { update.erase_run(run.directory.run); });
  return collection;
}

std::uint64_t remove_one(StoreCore& core, const RunDirectory& directory,
                         const PruneOptions& options, Which which) {
  std::optional<DeletionLock> deletion;
  PackCache cache;
  Snapshot snapshot = take_snapshot(core, cache);
  Collection collection;
  {
    const ReleasedReserve reserve(core.fs(), core.layout());
    deletion.emplace(core);
    collection = take_away(core, cache, directory, options, which, *deletion, snapshot);
    unlink_dead(core, snapshot, collection.doomed, collection.garbage);
  }
  rewrite_packs(core, cache, collection);
  return collection.bytes();
}

}  // namespace

std::uint64_t remove_run(StoreCore& core, std::string_view name_or_id,
                         const PruneOptions& options) {
  check_may_delete(core, options);
  if (options.trash_ns != 0) {
    throw Error(ErrorCode::invalid_argument,
                fmt::format("run {}: a run that is removed loses its record and cannot be brought "
                            "back, so nothing of it goes to the trash; nothing was deleted; remove "
                            "its checkpoints by their addresses instead",
                            name_or_id));
  }
  const auto directory = find_run(core.fs(), core.layout(), name_or_id);
  if (!directory) throw no_such_run(core, name_or_id);
  return remove_one(core, *directory, options, Which::any);
}

bool remove_empty_run(StoreCore& core, const RunDirectory& directory) {
  check_may_delete(core, {});
  try {
    remove_one(core, directory, {}, Which::empty);
    return true;
  } catch (const Error& error) {
    for (const ErrorCode no :
         {ErrorCode::already_exists, ErrorCode::locked, ErrorCode::not_found}) {
      if (error.code() == no) return false;
    }
    throw;
  }
}

}  // namespace ckp
