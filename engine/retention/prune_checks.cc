#include "retention/prune_checks.h"

#include <fmt/format.h>

#include <algorithm>

#include "check/stored_bytes.h"
#include "ckp/error.h"
#include "ckp/query.h"
#include "ckp/shell_word.h"
#include "store/missing_checkpoints.h"
#include "store/run_impl.h"

namespace ckp {
namespace {

bool is_unreadable(const PackFacts& pack) {
  return pack.file.name.state == PackState::live && !pack.readable;
}

bool loses_any(const RunFacts& run, const std::set<Uuid>& going) {
  return run.record && std::any_of(run.checkpoints.begin(), run.checkpoints.end(),
                                   [&](const CheckpointRecord& c) { return going.contains(c.id); });
}

// Why it cannot be read.
Error reason_of(FileSystem& fs, const ScannedPack& file) {
  try {
    read_checkpoint(fs, file);
  } catch (const Error& error) {
    return error;
  }
  return Error(ErrorCode::newer_format,
               fmt::format("{}: it has features that this version may read but does not know",
                           file.path.string()));
}

[[noreturn]] void throw_unreadable(StoreCore& core, const RunFacts& run, const PackFacts& pack) {
  const Error reason = reason_of(core.fs(), pack.file);
  const std::string root = shell_word(core.layout().root.string());
  const std::string address = run.record->name + "@" + pack.file.name.uuid.short_hex();
  throw Error(reason.code(),
              fmt::format("run {0}: checkpoint {1} cannot be read, so no rule can judge it and "
                          "what it needs is unknown; nothing was deleted; look closer: ckptool "
                          "verify {2}; prune goes on when the file can be read again, or is out of "
                          "the way: ckptool rm {2} {3} deletes it, and where it is damaged, "
                          "ckptool repair {2} saves what it can\n  {4}",
                          run.record->name, address, root, shell_word(address), reason.what()));
}

[[noreturn]] void throw_lost(StoreCore& core, const RunFacts& run, const CheckpointRecord& lost) {
  const std::string root = shell_word(core.layout().root.string());
  throw Error(
      ErrorCode::corrupt,
      fmt::format("{0}: the file is missing, and checkpoint {1}@{2} was neither pruned nor "
                  "removed; older ones may be all that is left, so nothing was deleted; "
                  "look closer: ckptool verify {3}; prune goes on when the file is back, or "
                  "when the checkpoint was given up: ckptool repair {3}",
                  (run.directory.path / live_name(lost)).string(), run.record->name,
                  lost.id.short_hex(), root));
}

}  // namespace

bool has_unreadable(const Snapshot& snapshot) {
  return std::any_of(snapshot.packs.begin(), snapshot.packs.end(),
                     [](const auto& pack) { return is_unreadable(pack.second); });
}

void check_all_readable(StoreCore& core, const Snapshot& snapshot, const std::set<Uuid>& chosen,
                        const std::set<Uuid>& going) {
  if (going.empty()) return;
  for (const auto& [uuid, pack] : snapshot.packs) {
    const RunFacts& run = snapshot.runs[pack.run];
    if (!run.record || !chosen.contains(run.record->id)) continue;
    if (is_unreadable(pack)) throw_unreadable(core, run, pack);
  }
}

void check_none_lost(StoreCore& core, const Snapshot& snapshot, const std::set<Uuid>& going) {
  for (const RunFacts& run : snapshot.runs) {
    if (!loses_any(run, going)) continue;
    const auto lost = lost_checkpoints(core, *run.record);
    if (!lost.empty()) throw_lost(core, run, lost.back());
  }
}

void check_survivors(StoreCore& core, const Snapshot& snapshot, const std::set<Uuid>& going) {
  for (const RunFacts& run : snapshot.runs) {
    if (!loses_any(run, going)) continue;
    const auto newest = newest_resumable(current_line(*run.record, run.checkpoints));
    if (!newest || going.contains(newest->id)) continue;
    try {
      check_stored_bytes(*open_checkpoint_parts(core, run.directory.name, *newest));
    } catch (const Error& error) {
      if (error.code() != ErrorCode::corrupt) throw;
      const std::string root = shell_word(core.layout().root.string());
      const std::string address = run.record->name + "@" + newest->id.short_hex();
      throw Error(
          ErrorCode::corrupt,
          fmt::format("run {0}: its newest checkpoint is damaged, and prune would keep that "
                      "one; nothing was deleted; mend it, or save what it still holds: "
                      "ckptool repair {1}; or remove it: ckptool rm {1} {2}\n  {3}",
                      run.record->name, root, shell_word(address), error.what()));
    }
  }
}

}  // namespace ckp
