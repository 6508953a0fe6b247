#include "ckp/query.h"

#include <algorithm>
#include <cmath>

#include "runs/line.h"

namespace ckp {
namespace {

std::optional<std::uint32_t> newest_attempt(const RunRecord& run,
                                            std::span<const CheckpointRecord> checkpoints,
                                            std::optional<std::uint32_t> below = std::nullopt) {
  std::optional<std::uint32_t> newest;
  const auto consider = [&](std::uint32_t number) {
    if ((!below || number < *below) && (!newest || number > *newest)) newest = number;
  };
  for (const Attempt& attempt : run.attempts) consider(attempt.number);
  for (const CheckpointRecord& checkpoint : checkpoints) consider(checkpoint.attempt);
  return newest;
}

// The run's record knows it; if its journal was lost, the attempt's own checkpoints do.
std::optional<Uuid> continued_from(const RunRecord& run,
                                   std::span<const CheckpointRecord> checkpoints,
                                   std::uint32_t attempt) {
  for (const Attempt& one : run.attempts) {
    if (one.number == attempt) return one.continued_from;
  }
  for (const CheckpointRecord& checkpoint : checkpoints) {
    if (checkpoint.attempt == attempt) return checkpoint.continued_from;
  }
  return std::nullopt;
}

// What the run's record says, which stays true when the checkpoint has been pruned.
std::optional<LineCut> recorded_cut(const RunRecord& run, std::uint32_t attempt) {
  for (const Attempt& one : run.attempts) {
    if (one.number != attempt || one.continued_attempt == 0) continue;
    if (one.continued_attempt < attempt)
      return LineCut{one.continued_attempt, one.continued_commit};
  }
  return std::nullopt;
}

// The part of an older attempt that `attempt` builds on. When the journal that says so was lost and
// the checkpoint that it took has been pruned, the attempt before is the likely one, and nothing of
// it is called superseded without proof. An attempt that continued from nothing has no past.
std::optional<LineCut> step_back(const RunRecord& run,
                                 std::span<const CheckpointRecord> checkpoints,
                                 std::uint32_t attempt) {
  if (const auto cut = recorded_cut(run, attempt)) return cut;
  const auto from = continued_from(run, checkpoints, attempt);
  if (!from) return std::nullopt;
  for (const CheckpointRecord& checkpoint : checkpoints) {
    if (checkpoint.id == *from && checkpoint.attempt < attempt) {
      return LineCut{checkpoint.attempt, checkpoint.commit};
    }
  }
  const auto before = newest_attempt(run, checkpoints, attempt);
  if (!before) return std::nullopt;
  return LineCut{*before};
}

}  // namespace

std::optional<std::vector<LineCut>> line_cuts(const RunRecord& run,
                                              std::optional<std::uint32_t> newest_saved) {
  std::vector<LineCut> cuts;
  auto newest = newest_attempt(run, {});
  if (newest_saved) newest = std::max(newest.value_or(0), *newest_saved);
  if (newest) cuts.push_back({*newest});
  while (!cuts.empty()) {
    const std::uint32_t attempt = cuts.back().attempt;
    if (const auto cut = recorded_cut(run, attempt)) {
      cuts.push_back(*cut);
      continue;
    }
    const auto recorded = std::find_if(run.attempts.begin(), run.attempts.end(),
                                       [&](const Attempt& one) { return one.number == attempt; });
    if (recorded == run.attempts.end() || recorded->continued_from) return std::nullopt;
    break;
  }
  return cuts;
}

bool is_on(std::span<const LineCut> cuts, std::uint32_t attempt, std::uint64_t commit) {
  return std::any_of(cuts.begin(), cuts.end(), [&](const LineCut& cut) {
    return attempt == cut.attempt && commit <= cut.commit;
  });
}

std::vector<const CheckpointRecord*> line_of(const RunRecord& run,
                                             std::span<const CheckpointRecord> checkpoints) {
  std::vector<LineCut> cuts;  // newest first; the attempt number falls at each step, so this ends
  if (const auto newest = newest_attempt(run, checkpoints)) {
    for (std::optional<LineCut> cut = LineCut{*newest}; cut;
         cut = step_back(run, checkpoints, cut->attempt)) {
      cuts.push_back(*cut);
    }
  }
  std::vector<const CheckpointRecord*> line;
  for (const CheckpointRecord& checkpoint : checkpoints) {
    if (checkpoint.salvaged_from) continue;
    if (is_on(cuts, checkpoint.attempt, checkpoint.commit)) line.push_back(&checkpoint);
  }
  std::sort(line.begin(), line.end(), [](const auto* a, const auto* b) {
    return std::tie(a->commit, a->id) < std::tie(b->commit, b->id);
  });
  return line;
}

std::vector<CheckpointRecord> current_line(const RunRecord& run,
                                           std::span<const CheckpointRecord> checkpoints) {
  std::vector<CheckpointRecord> line;
  for (const CheckpointRecord* checkpoint : line_of(run, checkpoints)) line.push_back(*checkpoint);
  return line;
}

std::optional<CheckpointRecord> newest_resumable(std::span<const CheckpointRecord> line) {
  std::optional<CheckpointRecord> newest;
  for (const CheckpointRecord& checkpoint : line) {
    if (checkpoint.resumable() && (!newest || checkpoint.commit >= newest->commit)) {
      newest = checkpoint;
    }
  }
  return newest;
}

const CheckpointRecord* best_of(std::span<const CheckpointRecord* const> line,
                                const std::string& metric, Better better) {
  const CheckpointRecord* winner = nullptr;
  double best_value = 0;
  for (const CheckpointRecord* checkpoint : line) {
    const auto found = checkpoint->metrics.find(metric);
    if (found == checkpoint->metrics.end() || !checkpoint->resumable()) continue;
    const double value = found->second;
    if (!std::isfinite(value)) continue;
    const bool wins = winner == nullptr ||
                      (better == Better::lower ? value < best_value : value > best_value) ||
                      (value == best_value && checkpoint->commit < winner->commit);
    if (wins) {
      winner = checkpoint;
      best_value = value;
    }
  }
  return winner;
}

std::optional<CheckpointRecord> best(std::span<const CheckpointRecord> line,
                                     std::string_view metric, Better better) {
  std::vector<const CheckpointRecord*> pointers;
  pointers.reserve(line.size());
  for (const CheckpointRecord& checkpoint : line) pointers.push_back(&checkpoint);
  const CheckpointRecord* const winner = best_of(pointers, std::string(metric), better);
  return winner == nullptr ? std::nullopt : std::optional(*winner);
}

}  // namespace ckp
