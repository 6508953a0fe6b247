#include "ckp/closest_name.h"

#include <algorithm>
#include <numeric>
#include <vector>

namespace ckp {

std::size_t edit_distance(std::string_view a, std::string_view b, std::size_t limit) {
  const std::size_t least = a.size() > b.size() ? a.size() - b.size() : b.size() - a.size();
  if (least >= limit) return limit;
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, diagonal + 1, row[j] + 1});
    }
    if (*std::min_element(row.begin(), row.end()) >= limit) return limit;
  }
  return std::min(row.back(), limit);
}

void ClosestName::offer(std::string_view candidate) {
  const std::size_t distance = edit_distance(wanted_, candidate, distance_);
  if (distance >= distance_) return;
  distance_ = distance;
  best_ = candidate;
}

}  // namespace ckp
