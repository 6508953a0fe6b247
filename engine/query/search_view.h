// What a search asks of an index that has the metrics of checkpoints in order.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "ckp/records.h"

namespace ckp {

// A checkpoint's value of a metric, with what decides most questions without its record.
struct MetricEntry {
  double value = 0;
  Uuid run;
  std::uint64_t commit = 0;
  Uuid checkpoint;
  std::uint32_t attempt = 0;
  bool resumable = false;
  bool salvaged = false;
  friend bool operator==(const MetricEntry&, const MetricEntry&) = default;
};

// What is known of a checkpoint without its record, whatever metrics it has.
struct SaveEntry {
  std::uint32_t attempt = 0;
  std::uint64_t commit = 0;
  Uuid checkpoint;
  std::uint64_t file_size = 0;
  std::int64_t created_ns = 0;
};

// Runs that nobody changes: shared, not copied.
using SharedRun = std::shared_ptr<const RunRecord>;
using RunList = std::vector<SharedRun>;

// Both ends included.
struct ValueRange {
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
};

// One consistent view. Whoever has it holds writers back: ask, and let go.
class SearchView {
 public:
  using Visit = std::function<bool(const MetricEntry&)>;  // false: that was enough

  virtual ~SearchView() = default;
  // Whether the two below know this metric.
  virtual bool has_order_of(std::string_view metric) const = 0;
  // By value, then run, commit and checkpoint; or all of that backwards. NaN is left out, -0 is 0.
  virtual void by_value(std::string_view metric, const ValueRange& range, bool backwards,
                        const Visit& visit) = 0;
  // The same of one run.
  virtual void by_value_in(const Uuid& run, std::string_view metric, const ValueRange& range,
                           bool backwards, const Visit& visit) = 0;
  // The greatest attempt among the run's checkpoints.
  virtual std::optional<std::uint32_t> newest_attempt(const Uuid& run) = 0;
  virtual CheckpointRecord checkpoint(const MetricEntry& entry) = 0;
  // In commit order.
  virtual std::vector<CheckpointRecord> checkpoints(const Uuid& run) = 0;
  // The same, or the last first, until `visit` says false.
  virtual void each_checkpoint(const Uuid& run, bool backwards,
                               const std::function<bool(CheckpointRecord)>& visit) = 0;
  // By attempt, then commit.
  virtual void each_save(const Uuid& run, const std::function<void(const SaveEntry&)>& visit) = 0;
};

}  // namespace ckp
