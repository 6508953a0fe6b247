// Tensors that hold something else for a while, such as a model evaluated with averaged weights.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>

namespace ckp::libtorch {

class OriginalTensors {
 public:
  // A save writes `original` wherever a part asks for this very tensor.
  void add(const at::Tensor& tensor, const at::Tensor& original) {
    originals_[tensor.unsafeGetTensorImpl()] =
        original.detach().set_requires_grad(tensor.requires_grad());
  }
  const at::Tensor& of(const at::Tensor& tensor) const {
    auto place = originals_.find(tensor.unsafeGetTensorImpl());
    return place == originals_.end() ? tensor : place->second;
  }

 private:
  std::map<const void*, at::Tensor> originals_;  // by TensorImpl
};

}  // namespace ckp::libtorch
