// Bringing checkpoints back from the trash (spec/commit.md, T5 to T7).
#pragma once

#include <span>
#include <vector>

#include "store/store_core.h"

namespace ckp {

// See Store::undelete.
std::vector<CheckpointRecord> undelete(StoreCore& core, std::span<const Uuid> checkpoints);

}  // namespace ckp
