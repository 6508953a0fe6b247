// What is trained: model, optimizer, data, and the state that a checkpoint of it holds.
#pragma once

#include <torch/optim/adamw.h>
#include <torch/optim/schedulers/step_lr.h>

#include "ckp/libtorch/batches.h"
#include "ckp/libtorch/sampler.h"
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
  Validation validate();
  std::string weights_digest() const;

  Dataset training, validation;
  Net model;
  torch::optim::AdamW optimizer;
  torch::optim::StepLR scheduler;
  ckp::libtorch::Sampler sampler;
  ckp::libtorch::TrainingState state;

 private:
  std::int64_t accumulate_;
};

}  // namespace example
