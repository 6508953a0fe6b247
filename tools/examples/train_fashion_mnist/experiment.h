// What is trained: model, optimizer, data, and the state that a checkpoint of it holds.
#pragma once

#include <torch/optim/adamw.h>
#include <torch/optim/schedulers/step_lr.h>

#include <optional>

#include "ckp/libtorch/batches.h"
#include "ckp/libtorch/lr_scheduler.h"
#include "ckp/libtorch/sampler.h"
#include "ckp/libtorch/swa.h"
#include "ckp/libtorch/training_state.h"
#include "fashion_mnist.h"
#include "model.h"
#include "options.h"

namespace example {

struct Validation {
  double loss = 0;
  double accuracy = 0;
};

struct Experiment {
  // Seeds LibTorch, reads the data and makes a fresh model.
  explicit Experiment(const Options& options);
  Experiment(const Experiment&) = delete;  // state refers to the members
  Experiment& operator=(const Experiment&) = delete;

  // The batch's share of the step's loss; its gradients are added to those that there are.
  double backward(const ckp::libtorch::Batch& batch);
  void optimizer_step();
  // The next learning rate and, with --swa, the average.
  void end_epoch();
  // Of the averaged weights once there are any.
  Validation validate();
  std::string weights_digest() const;

  Dataset training, validation;
  Net model;
  torch::optim::AdamW optimizer;
  torch::optim::StepLR scheduler;
  ckp::libtorch::Sampler sampler;
  std::optional<ckp::libtorch::Swa> swa;  // with --swa
  std::optional<ckp::libtorch::SWALR> swa_lr;
  ckp::libtorch::TrainingState state;

 private:
  Validation validate_weights();

  std::int64_t accumulate_;
};

}  // namespace example
