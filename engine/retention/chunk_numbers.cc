#include "retention/chunk_numbers.h"

#include <algorithm>

namespace ckp {

ChunkNumbers::ChunkNumbers(std::vector<std::uint32_t> numbers) {
  std::sort(numbers.begin(), numbers.end());
  for (const std::uint32_t number : numbers) {
    if (!ranges_.empty() && number - ranges_.back().last <= 1) {
      ranges_.back().last = number;
    } else {
      ranges_.push_back({number, number});
    }
  }
}

void ChunkNumbers::add(const ChunkNumbers& others) {
  ranges_.insert(ranges_.end(), others.ranges_.begin(), others.ranges_.end());
  normalise();
}

void ChunkNumbers::normalise() {
  std::sort(ranges_.begin(), ranges_.end(),
            [](const Range& a, const Range& b) { return a.first < b.first; });
  std::vector<Range> merged;
  for (const Range& range : ranges_) {
    const bool touches =
        !merged.empty() && std::uint64_t{range.first} <= std::uint64_t{merged.back().last} + 1;
    if (touches) {
      merged.back().last = std::max(merged.back().last, range.last);
    } else {
      merged.push_back(range);
    }
  }
  ranges_ = std::move(merged);
}

const ChunkNumbers::Range* ChunkNumbers::range_of(std::uint32_t number) const {
  const auto found =
      std::lower_bound(ranges_.begin(), ranges_.end(), number,
                       [](const Range& range, std::uint32_t n) { return range.last < n; });
  return found != ranges_.end() && found->first <= number ? &*found : nullptr;
}

bool ChunkNumbers::contains(std::uint32_t number) const { return range_of(number) != nullptr; }

bool ChunkNumbers::contains_all(const ChunkNumbers& others) const {
  return std::all_of(others.ranges_.begin(), others.ranges_.end(), [&](const Range& range) {
    const Range* const around = range_of(range.first);
    return around != nullptr && around->last >= range.last;
  });
}

std::uint64_t ChunkNumbers::size() const {
  std::uint64_t count = 0;
  for (const Range& range : ranges_) count += std::uint64_t{range.last} - range.first + 1;
  return count;
}

}  // namespace ckp
