// The running statistics of BatchNorm for weights that no training step has seen.
#pragma once

#include <functional>

namespace torch {
namespace nn {
class Module;
}
}  // namespace torch

namespace ckp::libtorch {

// Means and variances of averaged weights are not those of the weights that were trained: measures
// them anew. Resets the statistics of all BatchNorm layers of the model, calls `pass`, which runs
// the model forward over the training data, batch by batch, and leaves the mean of all batches'
// statistics, as PyTorch's swa_utils.update_bn. The model is in training mode meanwhile, without
// gradients: dropout draws random numbers. Afterwards, and when `pass` throws, each module is in
// the mode in which it was. Does not call `pass` for a model without BatchNorm.
void update_bn(torch::nn::Module& model, const std::function<void()>& pass);
// The same for a holder such as `Net net;` of TORCH_MODULE(Net), or a std::shared_ptr.
template <class Holder>
requires requires(Holder& holder) { *holder; }
void update_bn(Holder& holder, const std::function<void()>& pass) {
  update_bn(static_cast<torch::nn::Module&>(*holder), pass);
}

}  // namespace ckp::libtorch
