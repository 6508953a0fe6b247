// Shuffled batches whose position survives a resume.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <deque>
#include <optional>

#include "ckp/libtorch/part.h"

namespace ckp::libtorch {

// Goes through 0 .. size-1 once an epoch, in an order that depends on the seed and the epoch's
// number alone. Its state is the running epoch's order and how many samples of it are consumed, so
// that a resume in the middle of an epoch continues with the very next sample, whatever the batch
// size is then. It leaves the default generator alone.
//
// Either call next() from your own loop, or give it to a torch::data::DataLoader through
// data_loader.h, with any number of workers. One thread at a time.
class Sampler : public Part {
 public:
  // Error(invalid_argument) unless size and batch size are positive.
  Sampler(std::int64_t size, std::int64_t batch_size, std::uint64_t seed);

  // The next batch: int64 indices on the CPU; the last one of an epoch may be shorter. Nothing once
  // at the end of each epoch; the call after that begins the next one.
  std::optional<at::Tensor> next();

  std::int64_t size() const { return size_; }
  std::int64_t epoch() const { return epoch_; }        // the running one, from 0
  std::int64_t position() const { return position_; }  // samples consumed of it
  bool epoch_done() const { return position_ == size_; }

  // What a data loader needs, which draws batches ahead of the loop (data_loader.h calls these).
  // Drops what was drawn and not delivered; after a finished epoch begins the next one.
  void begin_loader();
  // Draws the next batch of at most `batch_size` samples; nothing at the epoch's end.
  std::optional<at::Tensor> draw(std::int64_t batch_size);
  // The loop has got the oldest batch drawn: now its samples are consumed.
  void delivered();
  // Begins the next epoch.
  void end_epoch();

  std::string_view kind() const override { return "sampler"; }
  void save(PartWriter& out) const override;
  // Error(mismatch) for another number of samples. Another batch size is converted.
  void check(PartReader& in) override;

 private:
  std::int64_t size_;
  std::int64_t batch_size_;
  std::uint64_t seed_;
  std::int64_t epoch_ = 0;
  std::int64_t position_ = 0;
  std::int64_t drawn_ = 0;              // samples of the epoch that are drawn, position_ at least
  std::deque<std::int64_t> in_flight_;  // sizes of the batches between the two
  at::Tensor order_;                    // undefined until the epoch's first batch
};

}  // namespace ckp::libtorch
