// The current line without copies. What the functions of ckp/query.h do.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "ckp/records.h"

namespace ckp {

// In commit order; points into `checkpoints`.
std::vector<const CheckpointRecord*> line_of(const RunRecord& run,
                                             std::span<const CheckpointRecord> checkpoints);

// Null when no checkpoint has a value.
const CheckpointRecord* best_of(std::span<const CheckpointRecord* const> line,
                                const std::string& metric, Better better);

}  // namespace ckp
