#include "ckp/libtorch/data_loader.h"

namespace ckp::libtorch {

LoaderSampler::Request LoaderSampler::next(std::size_t batch_size) {
  std::optional<at::Tensor> batch = sampler_->draw(static_cast<std::int64_t>(batch_size));
  if (!batch) return {};
  const auto* indices = batch->data_ptr<std::int64_t>();
  return BatchRequestType(indices, indices + batch->numel());
}

}  // namespace ckp::libtorch
