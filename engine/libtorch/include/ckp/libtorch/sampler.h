// Shuffled batches whose position survives a resume.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>

#include "ckp/libtorch/part.h"

namespace ckp::libtorch {

// Goes through 0 .. size-1 once an epoch, in an order that depends on the seed and the epoch's
// number alone. Its state is the running epoch's order and how many samples of it are taken, so
// that a resume in the middle of an epoch continues with the very next batch. It leaves the default
// generator alone. (torch::data::DataLoader resets its sampler at begin(): a restored position
// would be lost there. Call next() from your own loop.)
class Sampler : public Part {
 public:
  // Error(invalid_argument) unless size and batch size are positive.
  Sampler(std::int64_t size, std::int64_t batch_size, std::uint64_t seed);

  // The next batch: int64 indices on the CPU; the last one of an epoch may be shorter. Nothing once
  // at the end of each epoch; the call after that begins the next one.
  std::optional<at::Tensor> next();

  std::int64_t epoch() const { return epoch_; }        // the running one, from 0
  std::int64_t position() const { return position_; }  // samples taken of it
  bool epoch_done() const { return position_ == size_; }

  std::string_view kind() const override { return "sampler"; }
  void save(PartWriter& out) const override;
  void check(PartReader& in) override;

 private:
  std::int64_t size_;
  std::int64_t batch_size_;
  std::uint64_t seed_;
  std::int64_t epoch_ = 0;
  std::int64_t position_ = 0;
  at::Tensor order_;  // undefined until the epoch's first batch
};

}  // namespace ckp::libtorch
