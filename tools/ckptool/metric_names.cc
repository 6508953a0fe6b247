#include "metric_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "ckp/closest_name.h"
#include "ckp/error.h"
#include "render.h"

namespace ckp::tool {

void MetricNames::check(const RunRecord& run, const std::vector<MetricPoint>& points) const {
  for (const std::string& name : names_) {
    ClosestName closest(name);
    const bool there = std::any_of(points.begin(), points.end(), [&](const MetricPoint& point) {
      for (const auto& value : point.values) closest.offer(value.first);
      return point.values.contains(name);
    });
    if (there) continue;
    const std::string hint =
        closest.best().empty() ? "" : fmt::format("; did you mean {}?", printable(closest.best()));
    throw Error(ErrorCode::not_found, fmt::format("run {} has logged no metric {}{}",
                                                  printable(run.name), printable(name), hint));
  }
}

std::string MetricNames::not_yet(const std::vector<MetricPoint>& points) const {
  std::set<std::string> there;
  for (const MetricPoint& point : points) {
    for (const auto& value : point.values) there.insert(printable(value.first));
  }
  std::vector<std::string> missing;
  for (const std::string& name : names_) {
    if (!there.contains(printable(name))) missing.push_back(printable(name));
  }
  if (missing.empty()) return "";
  return fmt::format(
      "{} yet; there {}", join(missing),
      there.empty() ? "are none"
                    : (there.size() == 1 ? "is: " : "are: ") + join({there.begin(), there.end()}));
}

void MetricNames::keep(std::vector<MetricPoint>& points) const {
  if (names_.empty()) return;
  for (MetricPoint& point : points) {
    std::erase_if(point.values, [&](const auto& value) {
      return std::find(names_.begin(), names_.end(), value.first) == names_.end();
    });
  }
  std::erase_if(points, [](const MetricPoint& point) { return point.values.empty(); });
}

}  // namespace ckp::tool
