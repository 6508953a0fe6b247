// The metrics that were asked for by name.
#pragma once

#include <string>
#include <vector>

#include "ckp/metrics.h"

namespace ckp::tool {

class MetricNames {
 public:
  // None: all of them.
  explicit MetricNames(std::vector<std::string> names) : names_(std::move(names)) {}
  // Error(not_found), with the closest name, for one that no point has.
  void check(const RunRecord& run, const std::vector<MetricPoint>& points) const;
  // Those that no point has, and after a colon those that there are; empty when none is missing.
  std::string not_yet(const std::vector<MetricPoint>& points) const;
  // Takes away all others, and the points that have none of them.
  void keep(std::vector<MetricPoint>& points) const;

 private:
  std::vector<std::string> names_;
};

}  // namespace ckp::tool
