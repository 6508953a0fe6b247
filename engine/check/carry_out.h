// Carrying out a repair's plan (spec/commit.md, P2 to P8).
#pragma once

#include "check/repair_plan.h"

namespace ckp {

// `plan.report` becomes what was done.
void carry_out(StoreCore& core, RepairPlan& plan);

}  // namespace ckp
