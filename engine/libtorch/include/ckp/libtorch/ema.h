// Exponential moving averages of a model's weights.
//
//   ckp::libtorch::Ema ema(model, 0.999);
//   optimizer.step();  ema.update();
//   { auto shadow = ema.weights();  validate(model); }  // the averages until the scope ends
#pragma once

#include "ckp/libtorch/averaged_weights.h"

namespace ckp::libtorch {

// The average of each parameter p: a copy of p at the first update, then
// a + (1 - decay) (p - a) at each, as PyTorch's swa_utils.AveragedModel with get_ema_multi_avg_fn
// (Polyak and Juditsky 1992; the form of Adam's moments, arXiv:1412.6980).
//
// In the checkpoint: the values "n_averaged" and "decays", and a tensor for each parameter, under
// the parameter's name; with several decays "<decay>/<name>". A restore takes over the stored decay
// where there is one, and tells several apart by their values.
class Ema : public AveragedWeights {
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

  // Of the decay with this index. Error(invalid_argument) when averages are swapped in already, or
  // before the first update.
  Weights weights(std::size_t which = 0);

  std::string_view kind() const override { return "ema"; }
  void save(PartWriter& out) const override;
  void check(PartReader& in) override;

 private:
  void next_average(std::size_t which, at::Tensor& average, const at::Tensor& weight) override;
  std::string prefix(std::size_t which) const override;

  std::vector<double> decays_;
};

}  // namespace ckp::libtorch
