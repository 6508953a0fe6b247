#include "load/strided_copy.h"

#include <algorithm>
#include <cstring>

namespace ckp {
namespace {

// Copies `count` elements of a size known to the compiler.
template <std::size_t size>
void copy_elements(std::uint64_t count, const std::byte* from, std::uint64_t from_step,
                   std::byte* to, std::uint64_t to_step) {
  for (std::uint64_t i = 0; i < count; ++i, from += from_step, to += to_step) {
    std::memcpy(to, from, size);
  }
}

}  // namespace

// The piece of the span at hand.
struct StridedCopy::Window {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  const std::byte* bytes = nullptr;
  std::byte* to = nullptr;
};

StridedCopy::StridedCopy(std::size_t element_size, std::span<const std::int64_t> shape,
                         std::span<const std::int64_t> from_strides,
                         std::span<const std::int64_t> to_strides)
    : element_size_(element_size) {
  size_ = element_size;
  for (std::size_t d = 0; d < shape.size(); ++d) {
    if (shape[d] == 0) {
      size_ = 0;
      dimensions_.clear();
      linear_ = true;
      return;
    }
    const auto count = static_cast<std::uint64_t>(shape[d]);
    const std::uint64_t from = static_cast<std::uint64_t>(from_strides[d]) * element_size;
    const std::uint64_t to = static_cast<std::uint64_t>(to_strides[d]) * element_size;
    size_ += (count - 1) * from;
    if (count > 1 && (from != 0 || to != 0)) dimensions_.push_back({count, from, to, 0});
  }
  join_dimensions();
  const bool one_row = dimensions_.size() == 1 && dimensions_[0].from == element_size &&
                       dimensions_[0].to == element_size;
  linear_ = dimensions_.empty() || one_row;
}

void StridedCopy::join_dimensions() {
  const auto key = [](const Dimension& d) { return d.from == 0 ? UINT64_MAX : d.from; };
  std::stable_sort(dimensions_.begin(), dimensions_.end(),
                   [&](const Dimension& a, const Dimension& b) { return key(a) > key(b); });
  std::vector<Dimension> joined;
  for (const Dimension& inner : dimensions_) {
    if (!joined.empty()) {
      Dimension& outer = joined.back();
      if (outer.from == inner.count * inner.from && outer.to == inner.count * inner.to) {
        outer = {outer.count * inner.count, inner.from, inner.to, 0};
        continue;
      }
    }
    joined.push_back(inner);
  }
  std::uint64_t rest = element_size_;
  for (std::size_t d = joined.size(); d-- > 0;) {
    joined[d].rest = rest;
    rest += (joined[d].count - 1) * joined[d].from;
  }
  dimensions_ = std::move(joined);
}

void StridedCopy::copy(std::uint64_t begin, std::span<const std::byte> bytes, std::byte* to) const {
  if (bytes.empty() || size_ == 0) return;
  if (linear_) {
    if (to + begin != bytes.data()) std::memmove(to + begin, bytes.data(), bytes.size());
    return;
  }
  copy_dimension({begin, begin + bytes.size(), bytes.data(), to}, 0, 0, 0);
}

// `from` and `to`: bytes from the first element to where this dimension starts. Visits only the
// indices whose bytes meet the window.
void StridedCopy::copy_dimension(const Window& window, std::size_t d, std::uint64_t from,
                                 std::uint64_t to) const {
  const Dimension& dimension = dimensions_[d];
  std::uint64_t first = 0;
  std::uint64_t last = dimension.count;  // one past
  if (from >= window.end || from + dimension.rest + (last - 1) * dimension.from <= window.begin) {
    return;
  }
  if (dimension.from != 0) {
    if (from + dimension.rest <= window.begin) {
      first = (window.begin - from - dimension.rest) / dimension.from + 1;
    }
    last = std::min(last, (window.end - 1 - from) / dimension.from + 1);
  }
  from += first * dimension.from;
  to += first * dimension.to;
  if (d + 1 == dimensions_.size()) {
    Dimension row = dimension;
    row.count = last - first;
    return copy_row(window, row, from, to);
  }
  for (std::uint64_t i = first; i < last; ++i, from += dimension.from, to += dimension.to) {
    copy_dimension(window, d + 1, from, to);
  }
}

// Copies a row of elements that all meet the window. Only the first and the last may stick out of
// it, when a piece of a storage ends inside an element.
void StridedCopy::copy_row(const Window& window, const Dimension& row, std::uint64_t from,
                           std::uint64_t to) const {
  const auto copy_clipped = [&](std::uint64_t source, std::uint64_t target, std::uint64_t size) {
    const std::uint64_t begin = std::max(source, window.begin);
    const std::uint64_t end = std::min(source + size, window.end);
    if (begin >= end) return;
    std::memcpy(window.to + target + (begin - source), window.bytes + (begin - window.begin),
                end - begin);
  };
  if (row.from == element_size_ && row.to == element_size_) {
    return copy_clipped(from, to, row.count * element_size_);
  }
  std::uint64_t i = 0;
  std::uint64_t whole = row.count;
  const auto sticks_out = [&](std::uint64_t index) {
    const std::uint64_t at = from + index * row.from;
    return at < window.begin || at + element_size_ > window.end;
  };
  for (; i < whole && sticks_out(i); ++i) {
    copy_clipped(from + i * row.from, to + i * row.to, element_size_);
  }
  for (; whole > i && sticks_out(whole - 1); --whole) {
    copy_clipped(from + (whole - 1) * row.from, to + (whole - 1) * row.to, element_size_);
  }
  if (i == whole) return;
  const std::byte* source = window.bytes + (from + i * row.from - window.begin);
  std::byte* target = window.to + to + i * row.to;
  switch (element_size_) {
    case 1:
      return copy_elements<1>(whole - i, source, row.from, target, row.to);
    case 2:
      return copy_elements<2>(whole - i, source, row.from, target, row.to);
    case 4:
      return copy_elements<4>(whole - i, source, row.from, target, row.to);
    case 8:
      return copy_elements<8>(whole - i, source, row.from, target, row.to);
    default:
      return copy_elements<16>(whole - i, source, row.from, target, row.to);
  }
}

}  // namespace ckp
