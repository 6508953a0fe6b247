// The two ranges of a TrainingLoop: what happens at their ++.
#include <exception>
#include <utility>

#include "loop_impl.h"

namespace ckp::libtorch {

BatchRange::Iterator BatchRange::begin() {
  loop_.begin_batches(sampler_);
  in_step_ = 0;
  fetch();
  return Iterator(*this);
}

void BatchRange::advance() {
  loop_.end_batch(batch_.size(), sampler_.epoch_done());
  fetch();
}

void BatchRange::fetch() {
  has_batch_ = false;
  if (loop_.has_stopped()) return;  // the sampler stays where the last save has it
  const std::optional<at::Tensor> indices = sampler_.next();
  if (!indices) return;
  batch_ = source_(*indices);
  batch_.last_of_step_ = ++in_step_ == loop_.options.accumulate || sampler_.epoch_done();
  if (batch_.last_of_step_) in_step_ = 0;
  has_batch_ = true;
  loop_.begin_batch(batch_.size());
}

std::int64_t Epoch::number() const { return loop_.progress.epoch; }

void Epoch::end(const Metrics& metrics) { loop_.end_epoch_body(metrics); }

EpochRange::EpochRange(TrainingLoop::Impl& loop, std::int64_t count)
    : loop_(loop), count_(count), exceptions_(std::uncaught_exceptions()), epoch_(loop) {}

EpochRange::~EpochRange() {
  if (std::uncaught_exceptions() > exceptions_) loop_.abandon();
}

EpochRange::Iterator EpochRange::begin() {
  loop_.begin_epochs(count_);
  has_epoch_ = !loop_.nothing_left() && !loop_.has_stopped();
  return Iterator(*this);
}

void EpochRange::advance() {
  loop_.end_epoch();
  has_epoch_ = !loop_.nothing_left() && !loop_.has_stopped();
}

}  // namespace ckp::libtorch
