// Stopping when nothing gets better any more.
#pragma once

#include <cstdint>

#include "ckp/libtorch/part.h"

namespace ckp::libtorch {

// Counts evaluations in a row that were no improvement. Part of the state: a run that is stopped
// and resumed stops for good after as many as one that was not.
class EarlyStopping : public Part {
 public:
  // `patience`: so many bad evaluations in a row are enough; 0: never stop. Error(invalid_argument)
  // when negative.
  explicit EarlyStopping(std::int64_t patience);

  void evaluated(bool improved) { bad_ = improved ? 0 : bad_ + 1; }
  bool should_stop() const { return patience_ > 0 && bad_ >= patience_; }
  std::int64_t bad_in_a_row() const { return bad_; }

  std::string_view kind() const override { return "early_stopping"; }
  void save(PartWriter& out) const override;
  void check(PartReader& in) override;

 private:
  std::int64_t patience_;
  std::int64_t bad_ = 0;
};

}  // namespace ckp::libtorch
