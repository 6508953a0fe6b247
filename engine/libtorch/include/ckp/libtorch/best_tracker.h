// The best value of a metric so far.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "ckp/libtorch/part.h"
#include "ckp/records.h"

namespace ckp::libtorch {

struct BestRule {
  std::string metric = {};  // "val/loss"
  Better better = Better::lower;
  // What is not better by more than this does not count, as Keras' EarlyStopping has it.
  double min_delta = 0;
};

// Part of the state, so that a resumed run knows what it must beat.
class BestTracker : public Part {
 public:
  // Error(invalid_argument) for a min_delta that is negative or no number.
  explicit BestTracker(BestRule rule);

  // Whether `value` is the best so far; NaN and infinities never are, the first finite one is.
  bool offer(double value, std::int64_t epoch, std::int64_t step);

  const BestRule& rule() const { return rule_; }
  std::optional<double> value() const { return value_; }
  std::int64_t epoch() const { return epoch_; }  // where the best was met; 0 without one
  std::int64_t step() const { return step_; }

  // A best of another metric or direction in the checkpoint is not taken over.
  std::string_view kind() const override { return "best"; }
  void save(PartWriter& out) const override;
  void check(PartReader& in) override;

 private:
  BestRule rule_;
  std::optional<double> value_;
  std::int64_t epoch_ = 0;
  std::int64_t step_ = 0;
};

}  // namespace ckp::libtorch
