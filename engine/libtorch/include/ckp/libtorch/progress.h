// How far training has come.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "ckp/libtorch/part.h"

namespace ckp::libtorch {

// A mean that is built up over an epoch. Its sum is kept bit exact across a resume.
struct RunningMean {
  double sum = 0;
  std::int64_t count = 0;
  void add(double total, std::int64_t items) {
    sum += total;
    count += items;
  }
  double value() const { return count == 0 ? 0 : sum / static_cast<double>(count); }
};

struct Progress : Part {
  std::int64_t epoch = 0;                    // epochs completed
  std::int64_t step = 0;                     // optimizer steps completed
  std::int64_t batch = 0;                    // batches done in the running epoch
  std::int64_t samples = 0;                  // samples seen, all epochs together
  double trained_seconds = 0;                // wall time spent, all attempts together
  std::map<std::string, RunningMean> means;  // of the running epoch

  // Counts one optimizer step on `batch_size` samples.
  void count_step(std::int64_t batch_size);
  // Ends the running epoch.
  void end_epoch();

  std::string_view kind() const override { return "progress"; }
  void save(PartWriter& out) const override;
  void check(PartReader& in) override;
};

}  // namespace ckp::libtorch
