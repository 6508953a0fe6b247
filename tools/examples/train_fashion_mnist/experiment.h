// What is trained: model, optimizer, data, and the state that a checkpoint of it holds.
#pragma once

#include <torch/optim/adamw.h>
#include <torch/optim/schedulers/step_lr.h>

#include "ckp/libtorch/progress.h"
#include "ckp/libtorch/sampler.h"
#include "ckp/libtorch/training_state.h"
#include "fashion_mnist.h"
#include "model.h"
#include "options.h"
#include "output.h"

namespace example {

class Experiment {
 public:
  // Seeds LibTorch, reads the data and makes a fresh model.
  explicit Experiment(const Options& options);
  Experiment(const Experiment&) = delete;  // state_ refers to the members
  Experiment& operator=(const Experiment&) = delete;

  // Takes one optimizer step on the next batch; false when the epoch has none left. Then
  // end_epoch() is due.
  bool train_step();
  // Whether train_step() has no batch left.
  bool epoch_done() const { return sampler_.epoch_done(); }
  EpochResult end_epoch();

  const ckp::libtorch::Progress& progress() const { return progress_; }
  double train_loss() const;  // mean over the running epoch so far
  double learning_rate() const;
  std::string weights_digest() const;
  const ckp::libtorch::TrainingState& state() const { return state_; }

 private:
  void validate(EpochResult& result);

  Dataset training_, validation_;
  Net model_;
  torch::optim::AdamW optimizer_;
  torch::optim::StepLR scheduler_;
  ckp::libtorch::Sampler sampler_;
  ckp::libtorch::Progress progress_;
  ckp::libtorch::TrainingState state_;
};

}  // namespace example
