// Whether the files of a repair's plan are still those that were examined.
#pragma once

#include "check/repair_plan.h"

namespace ckp {

// P4, under the store's lock. Error(locked) when one was changed, pruned or repaired by somebody
// else since it was looked at, or when a process has begun to train a run whose journal is mended.
void check_unchanged(StoreCore& core, const RepairPlan& plan);

}  // namespace ckp
