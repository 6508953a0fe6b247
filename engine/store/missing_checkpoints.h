// What a run's list of checkpoints does not show as it is.
#pragma once

#include <string>
#include <vector>

#include "ckp/records.h"
#include "store/store_core.h"

namespace ckp {

// See Store::missing.
std::vector<std::string> missing_checkpoints(StoreCore& core, const RunRecord& run);

}  // namespace ckp
