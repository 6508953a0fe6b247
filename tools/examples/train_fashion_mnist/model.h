// The network: 105,962 parameters.
#pragma once

#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/dropout.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/pimpl.h>

namespace example {

// Two blocks of convolution, batch norm and pooling, then two linear layers with dropout between.
struct NetImpl : torch::nn::Module {
  NetImpl();
  // [N, 1, 28, 28] to [N, 10], one score a class.
  torch::Tensor forward(torch::Tensor images);

  torch::nn::Conv2d conv1, conv2;
  torch::nn::BatchNorm2d norm1, norm2;
  torch::nn::Linear fc1, fc2;
  torch::nn::Dropout dropout;
};
TORCH_MODULE(Net);

}  // namespace example
