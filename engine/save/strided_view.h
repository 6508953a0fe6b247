// Which bytes a strided view touches.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ckp/dtype.h"

namespace ckp {

// A dimension that moves: more than one element, and a stride above 0.
struct Dimension {
  std::int64_t size = 0;
  std::int64_t stride = 0;  // in elements
};

// The shape of a view's touched elements in memory order: dimensions of one element or stride 0
// are dropped, the others sorted by falling stride and joined where one continues the next.
std::vector<Dimension> memory_dimensions(std::span<const std::int64_t> shape,
                                         std::span<const std::int64_t> strides);

// Whether the view has no elements.
bool is_empty(std::span<const std::int64_t> shape);

// Elements from the first to the last touched one, both counted; 0 for an empty view.
std::int64_t span_elements(std::span<const std::int64_t> shape,
                           std::span<const std::int64_t> strides);

// Whether every element of the span is touched. False for some exotic overlapping views of which
// that is true; callers only lose speed.
bool is_dense(std::span<const std::int64_t> shape, std::span<const std::int64_t> strides);

// Whether a touched element is NaN or infinite. Elements in gaps do not count. `first` is the
// view's first element.
bool has_nonfinite_strided(DType dtype, std::span<const std::int64_t> shape,
                           std::span<const std::int64_t> strides, const std::byte* first);

}  // namespace ckp
