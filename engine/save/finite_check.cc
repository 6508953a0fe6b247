#include "save/finite_check.h"

#include <algorithm>
#include <tuple>

#include "save/strided_view.h"

namespace ckp {
namespace {

bool is_checked(const ChunkLayout& layout, std::size_t tensor) {
  const format::TensorEntry& entry = layout.tensors[tensor];
  return layout.check_finite[tensor] != 0 && is_floating(entry.dtype) && !is_empty(entry.shape);
}

}  // namespace

std::vector<bool> storages_checked_whole(const ChunkLayout& layout) {
  std::vector<bool> whole(layout.spans.size());
  for (std::size_t i = 0; i < layout.tensors.size(); ++i) {
    const format::TensorEntry& tensor = layout.tensors[i];
    if (is_checked(layout, i) && !is_dense(tensor.shape, tensor.strides))
      whole[tensor.storage] = true;
  }
  return whole;
}

FiniteCheck::FiniteCheck(const ChunkLayout& layout) {
  for (std::size_t i = 0; i < layout.tensors.size(); ++i) {
    const format::TensorEntry& tensor = layout.tensors[i];
    if (!is_checked(layout, i)) continue;
    const std::uint64_t element = size_of(tensor.dtype);
    const std::uint64_t begin = static_cast<std::uint64_t>(tensor.storage_offset) * element;
    if (!is_dense(tensor.shape, tensor.strides)) {
      strided_.push_back({&tensor, layout.spans[tensor.storage].data + begin});
      continue;
    }
    const auto elements = static_cast<std::uint64_t>(span_elements(tensor.shape, tensor.strides));
    ranges_.push_back({tensor.storage, tensor.dtype, begin, begin + elements * element, 0});
  }
  sort_ranges();
}

void FiniteCheck::sort_ranges() {
  const auto key = [](const Range& range) {
    return std::tuple(range.storage, range.begin, range.end, range.dtype);
  };
  std::sort(ranges_.begin(), ranges_.end(),
            [&](const Range& a, const Range& b) { return key(a) < key(b); });
  // Tied tensors are looked at once.
  ranges_.erase(std::unique(ranges_.begin(), ranges_.end(),
                            [&](const Range& a, const Range& b) { return key(a) == key(b); }),
                ranges_.end());
  for (std::size_t i = 0; i < ranges_.size(); ++i) {
    Range& range = ranges_[i];
    const bool first = i == 0 || ranges_[i - 1].storage != range.storage;
    range.furthest = first ? range.end : std::max(ranges_[i - 1].furthest, range.end);
  }
}

bool FiniteCheck::is_nonfinite(const ChunkPart& part) const {
  const std::uint64_t begin = part.storage_offset;
  const std::uint64_t end = begin + part.size;
  // Neither storage's start nor a chunk's cuts an element, see plan_chunks.
  auto at = std::partition_point(ranges_.begin(), ranges_.end(), [&](const Range& range) {
    return std::tuple(range.storage, range.furthest) <= std::tuple(part.storage, begin);
  });
  for (; at != ranges_.end() && at->storage == part.storage && at->begin < end; ++at) {
    const std::uint64_t from = std::max(begin, at->begin);
    const std::uint64_t to = std::min(end, at->end);
    if (from < to && has_nonfinite(at->dtype, part.data + (from - begin), to - from)) return true;
  }
  return false;
}

bool FiniteCheck::is_strided_nonfinite(std::size_t index) const {
  const Strided& strided = strided_[index];
  return has_nonfinite_strided(strided.tensor->dtype, strided.tensor->shape,
                               strided.tensor->strides, strided.first);
}

}  // namespace ckp
