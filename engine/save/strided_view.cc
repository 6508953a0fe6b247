#include "save/strided_view.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>

namespace ckp {
namespace {

// Walks one view and looks for a NaN or an infinity.
struct FiniteWalk {
  DType dtype;
  std::size_t element_size;
  std::span<const Dimension> dimensions;

  bool visit(std::size_t d, const std::byte* at) const {
    if (d == dimensions.size()) return has_nonfinite(dtype, at, element_size);
    const Dimension& dimension = dimensions[d];
    const std::size_t step = static_cast<std::size_t>(dimension.stride) * element_size;
    if (d + 1 == dimensions.size()) return visit_row(at, dimension.size, step);
    for (std::int64_t i = 0; i < dimension.size; ++i, at += step) {
      if (visit(d + 1, at)) return true;
    }
    return false;
  }

  // Gathers scattered elements into blocks, which are checked with vector instructions.
  bool visit_row(const std::byte* at, std::int64_t count, std::size_t step) const {
    if (step == element_size) {
      return has_nonfinite(dtype, at, static_cast<std::size_t>(count) * element_size);
    }
    std::array<std::byte, 4096> block;
    const auto capacity = static_cast<std::int64_t>(block.size() / element_size);
    while (count > 0) {
      const std::int64_t taken = std::min(count, capacity);
      for (std::int64_t i = 0; i < taken; ++i, at += step) {
        std::memcpy(block.data() + static_cast<std::size_t>(i) * element_size, at, element_size);
      }
      if (has_nonfinite(dtype, block.data(), static_cast<std::size_t>(taken) * element_size)) {
        return true;
      }
      count -= taken;
    }
    return false;
  }
};

}  // namespace

std::vector<Dimension> memory_dimensions(std::span<const std::int64_t> shape,
                                         std::span<const std::int64_t> strides) {
  std::vector<Dimension> sorted;
  for (std::size_t d = 0; d < shape.size(); ++d) {
    if (shape[d] != 1 && strides[d] != 0) sorted.push_back({shape[d], strides[d]});
  }
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const Dimension& a, const Dimension& b) { return a.stride > b.stride; });
  std::vector<Dimension> joined;
  for (const Dimension& inner : sorted) {
    if (!joined.empty() && joined.back().stride % inner.stride == 0 &&
        joined.back().stride / inner.stride == inner.size) {
      joined.back() = {joined.back().size * inner.size, inner.stride};
    } else {
      joined.push_back(inner);
    }
  }
  return joined;
}

bool is_empty(std::span<const std::int64_t> shape) {
  return std::find(shape.begin(), shape.end(), 0) != shape.end();
}

std::int64_t span_elements(std::span<const std::int64_t> shape,
                           std::span<const std::int64_t> strides) {
  if (is_empty(shape)) return 0;
  std::int64_t last = 0;
  for (std::size_t d = 0; d < shape.size(); ++d) last += (shape[d] - 1) * strides[d];
  return last + 1;
}

bool is_dense(std::span<const std::int64_t> shape, std::span<const std::int64_t> strides) {
  if (is_empty(shape)) return true;
  const auto dimensions = memory_dimensions(shape, strides);
  return dimensions.empty() || (dimensions.size() == 1 && dimensions[0].stride == 1);
}

bool has_nonfinite_strided(DType dtype, std::span<const std::int64_t> shape,
                           std::span<const std::int64_t> strides, const std::byte* first) {
  if (is_empty(shape)) return false;
  const auto dimensions = memory_dimensions(shape, strides);
  return FiniteWalk{dtype, size_of(dtype), dimensions}.visit(0, first);
}

}  // namespace ckp
