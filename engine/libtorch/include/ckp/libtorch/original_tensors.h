// Tensors that hold something else for a while, such as a model evaluated with averaged weights.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>

#include "ckp/error.h"

namespace ckp::libtorch {

class OriginalTensors {
 public:
  // A save writes `original` wherever a part asks for this very tensor. Error(invalid_argument)
  // when another part has put something into it, too: nobody knows then which came first.
  void add(const at::Tensor& tensor, const at::Tensor& original) {
    const bool is_first =
        originals_
            .try_emplace(tensor.unsafeGetTensorImpl(),
                         original.detach().set_requires_grad(tensor.requires_grad()))
            .second;
    if (is_first) return;
    throw Error(ErrorCode::invalid_argument,
                "save: averages of two parts are a model's weights at once; end the scope of one "
                "before you save");
  }
  const at::Tensor& of(const at::Tensor& tensor) const {
    auto place = originals_.find(tensor.unsafeGetTensorImpl());
    return place == originals_.end() ? tensor : place->second;
  }

 private:
  std::map<const void*, at::Tensor> originals_;  // by TensorImpl
};

}  // namespace ckp::libtorch
