// Runs whose directory has come back after the index was made without it: their disk was not
// mounted then.
#pragma once

#include "index/index.h"
#include "store/store_core.h"

namespace ckp {

// Makes `listed`, the index's answer, complete; the index, too, when it lacked a run. One listing
// of runs/ when there is nothing to do, or none when nothing has changed since the last one. False
// when the index cannot be made right: the files have the answer then.
bool list_returned_runs(StoreCore& core, ListedRuns& listed);

// Whether a directory has the record of a run that the index does not list.
bool lacks_a_run(StoreCore& core, const Index& index);

}  // namespace ckp
