// A small GPT over characters: pre-norm blocks, learned positions, the embedding also as the head.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/dropout.h>
#include <torch/nn/modules/embedding.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>

#include <cstdint>

namespace example {

struct GptSize {
  std::int64_t vocabulary = 128;
  std::int64_t context = 64;  // characters that it sees
  std::int64_t width = 64;
  std::int64_t layers = 2;
  std::int64_t heads = 4;
  double dropout = 0.1;
};

// Attention to what came before, then a perceptron, each added to its input.
struct GptBlockImpl : torch::nn::Module {
  explicit GptBlockImpl(const GptSize& size);
  torch::Tensor forward(const torch::Tensor& x);
  torch::Tensor attention(const torch::Tensor& x);

  std::int64_t heads;
  torch::nn::LayerNorm norm1, norm2;
  torch::nn::Linear qkv, projection, widen, narrow;
  torch::nn::Dropout dropout;
};
TORCH_MODULE(GptBlock);

struct GptImpl : torch::nn::Module {
  explicit GptImpl(const GptSize& size);
  // Characters [batch, time] in, a score of each next character [batch, time, vocabulary] out.
  torch::Tensor forward(const torch::Tensor& characters);

  torch::nn::Embedding characters_in, positions;
  torch::nn::ModuleList blocks;
  torch::nn::LayerNorm norm;
  torch::nn::Dropout dropout;
};
TORCH_MODULE(Gpt);

}  // namespace example
