// Patterns of names with slashes.
#pragma once

#include <string_view>

namespace ckp::libtorch {

// Whether `name` fits `pattern`, in which a star stands for any characters but a slash.
bool name_fits(std::string_view pattern, std::string_view name);

}  // namespace ckp::libtorch
