// Which tensors a pattern means.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ckp/error.h"

namespace ckp {

// "no tensor fc1.weigth in A.ckp; close names: ...".
Error no_such_tensor(std::string_view pattern, std::string_view place,
                     const std::vector<std::string_view>& names);

}  // namespace ckp
