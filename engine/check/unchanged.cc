#include "check/unchanged.h"

#include <fmt/format.h>

#include "ckp/error.h"

namespace ckp {
namespace {

bool is_same(const std::optional<FileStatus>& now, const std::optional<FileStatus>& then) {
  if (!now || !then) return !now && !then;
  return now->device == then->device && now->inode == then->inode && now->size == then->size &&
         now->changed_ns == then->changed_ns;
}

void check_file(FileSystem& fs, const std::filesystem::path& path,
                const std::optional<FileStatus>& seen) {
  if (is_same(fs.status(path), seen)) return;
  throw Error(ErrorCode::locked,
              fmt::format("{}: the file was changed by another process while its repair was "
                          "prepared; repair again",
                          path.string()));
}

void check_journal(FileSystem& fs, const StoreLayout& layout, const JournalMend& mend) {
  check_file(fs, mend.problem.path, mend.seen);
  const RunDirectory run = list_run(fs, layout, mend.directory);
  if (!run_is_held(fs, run.path, run.names)) return;
  throw Error(ErrorCode::locked, fmt::format("{}: a process has begun to train this run; repair "
                                             "again when it has ended",
                                             mend.problem.path));
}

void check_moves(StoreCore& core, const std::vector<PutBack>& moves) {
  if (moves.empty()) return;
  PackCache cache;
  const Snapshot now = take_snapshot(core, cache);
  if (find_put_backs(core.fs(), core.layout(), now).moves == moves) return;
  throw Error(ErrorCode::locked,
              fmt::format("{}: files were changed by another process while a repair was prepared; "
                          "repair again",
                          core.layout().runs().string()));
}

}  // namespace

void check_unchanged(StoreCore& core, const RepairPlan& plan) {
  FileSystem& fs = core.fs();
  const StoreLayout& layout = core.layout();
  check_moves(core, plan.moves);
  if (plan.identity) check_file(fs, layout.identity(), plan.identity->seen);
  if (plan.marks) check_file(fs, layout.marks(), plan.marks->seen);
  for (const IndexObstacle& one : plan.obstacles) check_file(fs, one.path, one.seen);
  for (const JournalMend& mend : plan.journals) check_journal(fs, layout, mend);
  for (const PackRepair& repair : plan.packs) {
    if (repair.file) {
      check_file(fs, repair.file->path, repair.seen);
    } else if (const auto found = find_pack(fs, layout, repair.directory, repair.uuid)) {
      check_file(fs, found->path, std::nullopt);  // it was not there
    }
  }
}

}  // namespace ckp
