// What is known of a run's checkpoints before they are read.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ckp/records.h"

namespace ckp {

class HistorySource {
 public:
  virtual ~HistorySource() = default;
  // All of them, in any order.
  virtual std::vector<CheckpointRecord> checkpoints() = 0;
  virtual bool on_line(const CheckpointRecord& checkpoint) = 0;
  virtual bool knows_best_of(const std::string& metric) = 0;
  // What ckp::best says of the line; to be asked of metrics that it knows.
  virtual std::optional<CheckpointRecord> best_of(const std::string& metric, Better better) = 0;
};

}  // namespace ckp
