#include "downsample.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>

namespace ckp::tool {
namespace {

// Puts in order what is worth keeping of one bucket.
void keep_extremes(std::span<const SeriesPoint> bucket, std::vector<SeriesPoint>& kept) {
  std::optional<std::size_t> least, greatest, nonfinite;
  for (std::size_t i = 0; i < bucket.size(); ++i) {
    const double value = bucket[i].value;
    if (!std::isfinite(value)) {
      if (!nonfinite) nonfinite = i;
      continue;
    }
    if (!least || value < bucket[*least].value) least = i;
    if (!greatest || value > bucket[*greatest].value) greatest = i;
  }
  std::set<std::size_t> indices;
  for (const auto& index : {least, greatest, nonfinite}) {
    if (index) indices.insert(*index);
  }
  for (const std::size_t index : indices) kept.push_back(bucket[index]);
}

}  // namespace

std::vector<SeriesPoint> downsample(std::span<const SeriesPoint> points, std::size_t most) {
  if (points.size() <= std::max<std::size_t>(most, 3)) return {points.begin(), points.end()};
  const auto inner = points.subspan(1, points.size() - 2);
  const std::size_t buckets = std::max<std::size_t>(most / 3, 1);
  std::vector<SeriesPoint> kept{points.front()};
  for (std::size_t i = 0; i < buckets; ++i) {
    const std::size_t from = inner.size() * i / buckets;
    const std::size_t to = inner.size() * (i + 1) / buckets;
    keep_extremes(inner.subspan(from, to - from), kept);
  }
  kept.push_back(points.back());
  return kept;
}

}  // namespace ckp::tool
