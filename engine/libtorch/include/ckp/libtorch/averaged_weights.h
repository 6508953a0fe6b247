// Averages of a model's weights: what Ema and Swa have in common.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "ckp/libtorch/part.h"

namespace torch {
namespace nn {
class Module;
}
}  // namespace torch

namespace ckp::libtorch {

// Keeps one or several averages of each parameter; how they are made is the derived class's. Refers
// to the parameters and buffers that the model has at construction; they live as long as this
// object. Buffers are not averaged: they are the model's own. One thread at a time.
class AveragedWeights : public Part {
 public:
  // How many weights the averages are of: PyTorch's n_averaged.
  std::int64_t updates() const { return n_averaged_; }

  // While it lives, the model has averages as its weights (in place: optimizers, views and tied
  // parameters stay what they are). Its end brings weights and buffers back, bit for bit, so that
  // the statistics of update_bn are the averages' only. Do not train meanwhile: what changes the
  // weights then changes the averages, or, where a Swa has not begun, the weights themselves. A
  // training state that has this part saves weights and buffers themselves as the model meanwhile,
  // and the averages as the averages; it cannot be restored into. Error(invalid_argument) when
  // averages are swapped in already.
  class Weights {
   public:
    explicit Weights(AveragedWeights& averages, std::size_t which = 0);
    ~Weights();
    Weights(const Weights&) = delete;
    Weights& operator=(const Weights&) = delete;

   private:
    AveragedWeights& averages_;
  };

  void original_tensors(OriginalTensors& originals) const override;
  void guard_saves(const SaveGuard& guard) override { before_change_ = guard.before_change; }

 protected:
  // `averages` of each parameter, which lie on `device`, or where the parameter is. Messages begin
  // with `name`.
  AveragedWeights(const char* name, const torch::nn::Module& model, std::size_t averages,
                  std::optional<c10::Device> device);

  // Takes the present weights in: a copy the first time, next_average() later.
  void take_in();
  // Moves the average `which` of one parameter on. There are n_averaged_ weights in it, at least
  // one; both tensors are floating or complex, and on the same device.
  virtual void next_average(std::size_t which, at::Tensor& average, const at::Tensor& weight) = 0;
  // What stands before the parameter's name in the checkpoint.
  virtual std::string prefix(std::size_t /*which*/) const { return {}; }
  [[noreturn]] void misuse(const std::string& what) const;
  // Error(invalid_argument): `call` is not for while averages are swapped in.
  void require_own_weights(const char* call) const;

  void save_averages(PartWriter& out) const;
  void check_own_weights(PartReader& in) const;
  void check_averages(PartReader& in);

  std::int64_t n_averaged_ = 0;

 private:
  struct Average {
    std::string name;
    at::Tensor parameter;
    std::vector<at::Tensor> values;
  };
  void swap_in(std::size_t which);
  void swap_out();
  void exchange(std::size_t which);

  std::string name_;
  std::vector<Average> averages_;
  std::vector<at::Tensor> buffers_;
  std::optional<std::size_t> swapped_in_;
  std::vector<at::Tensor> kept_buffers_;  // the model's own, while averages are swapped in
  std::function<void()> before_change_ = [] {};
};

}  // namespace ckp::libtorch
