// "Did you mean": the name that is nearest to one that was not found.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace ckp::libtorch {

// The least edit distance wins, ties go to the earlier; empty when `names` is empty.
std::string closest_name(std::string_view wanted, std::span<const std::string> names);

}  // namespace ckp::libtorch
