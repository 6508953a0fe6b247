// Questions about the checkpoints of one run. Pure functions: order is the commit number, never a
// clock and never the step.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ckp/records.h"

namespace ckp {

// The checkpoints of the current line, in commit order: those of the newest attempt, those of the
// attempt it continued from up to the checkpoint it took, and so on. Everything else is superseded.
std::vector<CheckpointRecord> current_line(const RunRecord& run,
                                           std::span<const CheckpointRecord> checkpoints);

// The newest of `line` that resume may take by itself (CheckpointRecord::resumable), or nothing.
std::optional<CheckpointRecord> newest_resumable(std::span<const CheckpointRecord> line);

// The best of `line` by a metric. NaN, infinite and absent values and checkpoints that are not
// resumable never win; ties go to the earlier. Nothing when no checkpoint has a value.
std::optional<CheckpointRecord> best(std::span<const CheckpointRecord> line,
                                     std::string_view metric, Better better);

}  // namespace ckp
