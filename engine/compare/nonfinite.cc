#include "compare/nonfinite.h"

namespace ckp {

NonfiniteElement nonfinite_element(std::uint64_t number, const std::vector<std::int64_t>& shape,
                                   bool nan) {
  NonfiniteElement element{number, std::vector<std::int64_t>(shape.size()), nan};
  for (std::size_t d = shape.size(); d-- > 0;) {
    const auto size = static_cast<std::uint64_t>(shape[d]);
    element.index[d] = static_cast<std::int64_t>(number % size);
    number /= size;
  }
  return element;
}

}  // namespace ckp
