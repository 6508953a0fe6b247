// Loss scaling for training in half precision, with a state that a resume can bring back.
//
//   ckp::libtorch::GradScaler scaler;
//   scaler.scale(loss).backward();
//   scaler.step(optimizer);  // not when a gradient is infinite or NaN
//   scaler.update();
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <map>

#include "ckp/libtorch/part.h"

namespace torch {
namespace optim {
class Optimizer;
}
}  // namespace torch

namespace ckp::libtorch {

struct GradScalerOptions {
  double init_scale = 65536;
  double growth_factor = 2;
  double backoff_factor = 0.5;
  std::int64_t growth_interval = 2000;  // steps in a row without an infinite gradient
  bool enabled = true;                  // off: scale() and step() do nothing of their own
};

// PyTorch's torch.amp.GradScaler: the same steps, the same float arithmetic, the same five fields
// of state ("scale", "growth_factor", "backoff_factor", "growth_interval", "_growth_tracker"; none
// when it is off). Where LibTorch has no kernel for the two operations (1.13 on the CPU) the
// host computes the same numbers. The scale lives on the device of the first loss. Save after
// update(): what step() found for an update() to come is no part of the state.
//
// Several optimizers: scale every loss, step every optimizer, then update() once. One thread at a
// time. Calls out of order throw Error(invalid_argument), as PyTorch raises.
class GradScaler : public Part {
 public:
  explicit GradScaler(const GradScalerOptions& options = {});

  // loss * scale, on the loss's device.
  at::Tensor scale(const at::Tensor& loss);
  // Divides the gradients of the optimizer by the scale, in place; for what needs their true size,
  // such as clipping. step() does it itself otherwise. Once between two updates.
  void unscale_(torch::optim::Optimizer& optimizer);
  // optimizer.step(), unless a gradient is infinite or NaN. Whether the step was made. In the state
  // of a TrainingLoop it does TrainingLoop::before_step, too.
  bool step(torch::optim::Optimizer& optimizer);
  // Sets the next scale: times backoff_factor after a step that was not made, times growth_factor
  // after growth_interval steps in a row that were.
  void update();
  // Sets the scale itself.
  void update(double new_scale);

  double get_scale() const;  // waits for the device; 1 when off
  std::int64_t growth_tracker() const;
  bool is_enabled() const { return options_.enabled; }

  std::string_view kind() const override { return "grad_scaler"; }
  void save(PartWriter& out) const override;
  // Error(mismatch) for the state of a scaler that was off. A scaler that is off takes none.
  void check(PartReader& in) override;
  void guard_saves(const SaveGuard& guard) override { before_step_ = guard.before_step; }

 private:
  enum class Stage { ready, unscaled, stepped };
  struct OptimizerState {
    Stage stage = Stage::ready;
    at::Tensor found_inf;  // on the scale's device: above 0 when a gradient was not finite
  };

  void make_scale(const c10::Device& device);
  void require_scale(const char* caller) const;
  at::Tensor found_inf() const;

  GradScalerOptions options_;
  std::int64_t initial_tracker_ = 0;
  at::Tensor scale_, growth_tracker_;  // float32 and int32, both 0-d; undefined until first used
  std::map<const torch::optim::Optimizer*, OptimizerState> states_;  // since the last update
  std::function<void()> before_step_ = [] {};
};

}  // namespace ckp::libtorch
