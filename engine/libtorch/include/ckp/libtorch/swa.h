// Stochastic weight averaging: the equal average of the weights that a training ends among.
//
//   ckp::libtorch::Swa swa(model, {.begin = 160});
//   ckp::libtorch::SWALR swa_lr(optimizer, 0.05);
//   ...
//   swa.update();                                            // at the end of each epoch
//   if (swa.begun()) { swa_lr.step(); } else { scheduler.step(); }
//   {
//     auto shadow = swa.weights();                           // the average until the scope ends
//     update_bn(model, [&] { forward over the training data });
//     validate(model);
//   }
#pragma once

#include "ckp/libtorch/averaged_weights.h"

namespace ckp::libtorch {

class StateFields;

// Both count calls of update(): epochs when it is called once an epoch, steps when once a step.
struct SwaOptions {
  std::int64_t begin = 0;  // calls before the first that takes weights in; `if i > swa_start` of
                           // PyTorch's example is begin = swa_start + 1
  std::int64_t every = 1;  // from then on each, each second, ... call takes them in
};

// The average of each parameter p: a copy of p at first, then a + (p - a) / (n + 1) after n, as
// PyTorch's swa_utils.AveragedModel makes it on the CPU (Izmailov et al., arXiv:1803.05407).
//
// In the checkpoint: the values "n_averaged", "calls", "begin" and "every", and a tensor for each
// parameter, under the parameter's name. A restore takes over the stored begin and every, and tells
// where the program has others (RestoreOptions::keep_constructed).
class Swa : public AveragedWeights {
 public:
  // The averages lie on `device`, or where their parameter is. Error(invalid_argument) when begin
  // is negative or every not positive.
  explicit Swa(const torch::nn::Module& model, const SwaOptions& options = {},
               std::optional<c10::Device> device = std::nullopt);
  // The same for a holder such as `Net net;` of TORCH_MODULE(Net), or a std::shared_ptr.
  template <class Holder>
  requires requires(const Holder& holder) { *holder; }
  explicit Swa(const Holder& holder, const SwaOptions& options = {},
               std::optional<c10::Device> device = std::nullopt)
      : Swa(static_cast<const torch::nn::Module&>(*holder), options, device) {}

  // Counts, and takes the present weights in when it is time; after optimizer.step().
  // Error(invalid_argument) while the average is swapped in.
  void update();
  // Whether averaging has begun: with the first update() that took weights in. (Of one restored by
  // a program that keeps another `begin`: whether so many updates have been counted.)
  bool begun() const { return calls_ > options_.begin; }

  // Until averaging has begun, the model's own weights stay in place.
  Weights weights() { return Weights(*this); }

  std::string_view kind() const override { return "swa"; }
  void save(PartWriter& out) const override;
  void check(PartReader& in) override;

 private:
  void next_average(std::size_t which, at::Tensor& average, const at::Tensor& weight) override;
  void visit_fields(StateFields& fields);

  SwaOptions options_;
  std::int64_t calls_ = 0;
};

}  // namespace ckp::libtorch
