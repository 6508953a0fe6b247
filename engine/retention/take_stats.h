// Counting the bytes of a store.
#pragma once

#include "ckp/stats.h"
#include "store/store_core.h"

namespace ckp {

// See Store::stats.
StoreStats take_stats(StoreCore& core, double waste_threshold);

}  // namespace ckp
