// Fewer points of a metric series than were logged, without losing what stands out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace ckp::tool {

struct SeriesPoint {
  std::int64_t epoch = 0;
  std::int64_t step = 0;
  double value = 0;
};

// At most about `most` points, in order: the first and the last, and of each of `most` / 3 buckets
// of equally many points the least, the greatest, and the first that is NaN or infinite. All of
// them when there are no more than `most`.
std::vector<SeriesPoint> downsample(std::span<const SeriesPoint> points, std::size_t most);

}  // namespace ckp::tool
