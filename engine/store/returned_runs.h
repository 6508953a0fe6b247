// Runs whose directory has come back after the index was made without it: their disk was not
// mounted then.
#pragma once

#include <vector>

#include "query/search_view.h"
#include "store/store_core.h"

namespace ckp {

// Makes `listed`, the index's answer, complete; the index, too, when it lacked a run. One listing
// of runs/ when there is nothing to do. False when the index cannot be made right: the files have
// the answer then.
bool list_returned_runs(StoreCore& core, RunList& listed);

// Whether a directory has the record of a run that is not among `known`, which are sorted.
bool lacks_a_run(StoreCore& core, const std::vector<Uuid>& known);

}  // namespace ckp
