// Exponential moving averages of a model's weights.
//
//   ckp::libtorch::Ema ema(model, 0.999);
//   optimizer.step();  ema.update();
//   { auto shadow = ema.weights();  validate(model); }  // the averages until the scope ends
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ckp/libtorch/part.h"

namespace torch {
namespace nn {
class Module;
}
}  // namespace torch

namespace ckp::libtorch {

// The average of each parameter p: a copy of p at the first update, then
// a + (1 - decay) (p - a) at each, as PyTorch's swa_utils.AveragedModel with get_ema_multi_avg_fn
// (Polyak and Juditsky 1992; the form of Adam's moments, arXiv:1412.6980). Buffers are the
// model's own. Refers to the parameters that the model has at construction; they live as long as
// this object. One thread at a time.
//
// In the checkpoint: the values "n_averaged" and "decays", and a tensor for each parameter, under
// the parameter's name; with several decays "<decay>/<name>". A restore takes over the stored decay
// where there is one, and tells several apart by their values.
class Ema : public Part {
 public:
  // The averages lie on `device`, or where their parameter is. Error(invalid_argument) for a decay
  // that is not between 0 and 1.
  Ema(const torch::nn::Module& model, double decay,
      std::optional<c10::Device> device = std::nullopt)
      : Ema(model, std::vector<double>{decay}, device) {}
  Ema(const torch::nn::Module& model, std::vector<double> decays,
      std::optional<c10::Device> device = std::nullopt);
  // The same for a holder such as `Net net;` of TORCH_MODULE(Net), or a std::shared_ptr.
  template <class Holder, class Decays>
  requires requires(const Holder& holder) { *holder; }
  Ema(const Holder& holder, Decays decays, std::optional<c10::Device> device = std::nullopt)
      : Ema(static_cast<const torch::nn::Module&>(*holder), std::move(decays), device) {}

  // Takes the present weights in; after optimizer.step(). Error(invalid_argument) while averages
  // are swapped in.
  void update();
  std::int64_t updates() const { return n_averaged_; }

  // While it lives, the model has the averages as its weights (in place: optimizers, views and tied
  // parameters stay what they are). Its end brings the weights back, bit for bit. A training state
  // that has this Ema saves the weights themselves as the model meanwhile, and the averages as the
  // averages; it cannot be restored into.
  class Weights {
   public:
    explicit Weights(Ema& ema, std::size_t which);
    ~Weights();
    Weights(const Weights&) = delete;
    Weights& operator=(const Weights&) = delete;

   private:
    Ema& ema_;
  };
  // Of the decay with this index. Error(invalid_argument) when averages are swapped in already, or
  // before the first update.
  Weights weights(std::size_t which = 0) { return Weights(*this, which); }

  std::string_view kind() const override { return "ema"; }
  void save(PartWriter& out) const override;
  void check(PartReader& in) override;
  void original_tensors(OriginalTensors& originals) const override;
  void guard_saves(const SaveGuard& guard) override { before_change_ = guard.before_change; }

 private:
  struct Average {
    std::string name;
    at::Tensor parameter;
    std::vector<at::Tensor> values;  // one for each decay
  };
  void exchange(std::size_t which);
  std::string prefix(std::size_t which) const;

  std::vector<double> decays_;
  std::vector<Average> averages_;
  std::int64_t n_averaged_ = 0;
  std::optional<std::size_t> swapped_in_;
  std::function<void()> before_change_ = [] {};
};

}  // namespace ckp::libtorch
