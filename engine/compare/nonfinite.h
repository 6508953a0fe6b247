// Where the first NaN or infinity of a tensor is.
#pragma once

#include <cstdint>
#include <vector>

#include "ckp/compare.h"

namespace ckp {

NonfiniteElement nonfinite_element(std::uint64_t number, const std::vector<std::int64_t>& shape,
                                   bool nan);

}  // namespace ckp
