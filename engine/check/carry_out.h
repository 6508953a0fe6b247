// Carrying out a repair's plan (spec/commit.md, P2 to P8).
#pragma once

#include "check/repair_plan.h"

namespace ckp {

// Throws what carry_out would throw before it changes anything because of what lies in the places
// of files that it opens: a plan that cannot be carried out promises nothing.
void check_can_be_carried_out(StoreCore& core, const RepairPlan& plan);

// `plan.report` becomes what was done.
void carry_out(StoreCore& core, RepairPlan& plan);

}  // namespace ckp
