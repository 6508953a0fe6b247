#include "model.h"

#include <torch/nn/functional.h>

namespace example {

NetImpl::NetImpl()
    : conv1(torch::nn::Conv2dOptions(1, 16, 3).padding(1)),
      conv2(torch::nn::Conv2dOptions(16, 32, 3).padding(1)),
      norm1(16),
      norm2(32),
      fc1(32 * 7 * 7, 64),
      fc2(64, 10),
      dropout(0.3) {
  register_module("conv1", conv1);
  register_module("norm1", norm1);
  register_module("conv2", conv2);
  register_module("norm2", norm2);
  register_module("fc1", fc1);
  register_module("dropout", dropout);
  register_module("fc2", fc2);
}

torch::Tensor NetImpl::forward(torch::Tensor images) {
  torch::Tensor x = torch::max_pool2d(torch::relu(norm1(conv1(images))), 2);
  x = torch::max_pool2d(torch::relu(norm2(conv2(x))), 2);
  return fc2(dropout(torch::relu(fc1(x.flatten(1)))));
}

}  // namespace example
