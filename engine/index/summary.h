// The sums that every table keeps, read together.
#pragma once

#include "index/index.h"
#include "index/rows.h"

namespace ckp {

// Tables without rows are left out.
IndexSummary read_summary(RowReader& rows);

}  // namespace ckp
