// What a run's list of checkpoints does not show as it is.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ckp/records.h"
#include "store/store_core.h"

namespace ckp {

// See Store::missing.
std::vector<std::string> missing_checkpoints(StoreCore& core, const RunRecord& run);

// Those that the index lists and that have no file, although nobody pruned or removed them; in
// commit order. None where there is no index: the files alone do not know.
std::vector<CheckpointRecord> lost_checkpoints(StoreCore& core, const RunRecord& run);

// Live checkpoints by the names of their files, whose ids begin with `prefix`: see
// Store::find_to_remove.
std::vector<CheckpointRecord> unlisted_checkpoints(StoreCore& core, const RunRecord& run,
                                                   std::string_view prefix);

}  // namespace ckp
