// The current line without copies. What the functions of ckp/query.h do.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ckp/records.h"

namespace ckp {

// In commit order; points into `checkpoints`.
std::vector<const CheckpointRecord*> line_of(const RunRecord& run,
                                             std::span<const CheckpointRecord> checkpoints);

// A part of the line: what this attempt saved up to this commit.
struct LineCut {
  std::uint32_t attempt = 0;
  std::uint64_t commit = UINT64_MAX;  // the last one that counts
};

// The line's parts, newest first, as far as they hang on the run's record and on the greatest
// attempt among its checkpoints alone; nothing when more of the checkpoints would have to be known.
std::optional<std::vector<LineCut>> line_cuts(const RunRecord& run,
                                              std::optional<std::uint32_t> newest_saved);

// Whether a checkpoint that was not salvaged is on that line.
bool is_on(std::span<const LineCut> cuts, std::uint32_t attempt, std::uint64_t commit);

// Null when no checkpoint has a value.
const CheckpointRecord* best_of(std::span<const CheckpointRecord* const> line,
                                const std::string& metric, Better better);

}  // namespace ckp
