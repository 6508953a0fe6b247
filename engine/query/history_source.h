// What is known of a run's checkpoints before they are read.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ckp/records.h"

namespace ckp {

// What is known of a run's checkpoints together, superseded ones included.
struct CheckpointTotals {
  std::uint64_t count = 0;
  std::uint64_t size = 0;                                // bytes of their files
  std::int64_t last_created_ns = 0;                      // of the last commit
  std::map<std::uint32_t, std::int64_t> newest_ns = {};  // by attempt, when its newest was created
};

inline void add_newest(CheckpointTotals& totals, std::uint32_t attempt, std::int64_t created_ns) {
  const auto [at, is_new] = totals.newest_ns.try_emplace(attempt, created_ns);
  if (!is_new && at->second < created_ns) at->second = created_ns;
}

class HistorySource {
 public:
  virtual ~HistorySource() = default;
  // All of them, in any order.
  virtual std::vector<CheckpointRecord> checkpoints() = 0;
  virtual CheckpointTotals totals() = 0;
  virtual bool on_line(const CheckpointRecord& checkpoint) = 0;
  // The last of the line, or the last one that has this metric, when it is not null.
  virtual std::optional<CheckpointRecord> latest(const std::string* metric) = 0;
  virtual bool knows_best_of(const std::string& metric) = 0;
  // What ckp::best says of the line; to be asked of metrics that it knows.
  virtual std::optional<CheckpointRecord> best_of(const std::string& metric, Better better) = 0;
};

}  // namespace ckp
