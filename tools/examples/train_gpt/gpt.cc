#include "train_gpt/gpt.h"

#include <torch/nn/functional/linear.h>
#include <torch/nn/init.h>

#include <cmath>
#include <limits>

namespace example {

GptBlockImpl::GptBlockImpl(const GptSize& size)
    : heads(size.heads),
      norm1(torch::nn::LayerNormOptions({size.width})),
      norm2(torch::nn::LayerNormOptions({size.width})),
      qkv(size.width, 3 * size.width),
      projection(size.width, size.width),
      widen(size.width, 4 * size.width),
      narrow(4 * size.width, size.width),
      dropout(size.dropout) {
  register_module("norm1", norm1);
  register_module("qkv", qkv);
  register_module("projection", projection);
  register_module("norm2", norm2);
  register_module("widen", widen);
  register_module("narrow", narrow);
  register_module("dropout", dropout);
}

torch::Tensor GptBlockImpl::attention(const torch::Tensor& x) {
  const std::int64_t batch = x.size(0), time = x.size(1), width = x.size(2);
  // [batch, heads, time, width of a head], three times
  const auto parts =
      qkv(x).view({batch, time, 3, heads, width / heads}).permute({2, 0, 3, 1, 4}).unbind(0);
  torch::Tensor scores = torch::matmul(parts[0], parts[1].transpose(-2, -1)) /
                         std::sqrt(static_cast<double>(width / heads));
  const torch::Tensor later =
      torch::ones({time, time}, x.options().dtype(torch::kBool)).triu(/*diagonal=*/1);
  scores = scores.masked_fill(later, -std::numeric_limits<double>::infinity());
  const torch::Tensor seen = torch::matmul(dropout(torch::softmax(scores, -1)), parts[2]);
  return projection(seen.transpose(1, 2).reshape({batch, time, width}));
}

torch::Tensor GptBlockImpl::forward(const torch::Tensor& x) {
  const torch::Tensor attended = x + dropout(attention(norm1(x)));
  return attended + dropout(narrow(torch::gelu(widen(norm2(attended)))));
}

GptImpl::GptImpl(const GptSize& size)
    : characters_in(size.vocabulary, size.width),
      positions(size.context, size.width),
      norm(torch::nn::LayerNormOptions({size.width})),
      dropout(size.dropout) {
  register_module("characters", characters_in);
  register_module("positions", positions);
  register_module("blocks", blocks);
  register_module("norm", norm);
  register_module("dropout", dropout);
  for (std::int64_t i = 0; i < size.layers; ++i) blocks->push_back(GptBlock(size));
  torch::NoGradGuard no_grad;
  for (const torch::Tensor& parameter : parameters()) {
    if (parameter.dim() > 1) torch::nn::init::normal_(parameter, 0, 0.02);
  }
}

torch::Tensor GptImpl::forward(const torch::Tensor& characters) {
  const torch::Tensor places = torch::arange(characters.size(1), characters.options());
  torch::Tensor x = dropout(characters_in(characters) + positions(places));
  for (const auto& block : *blocks) x = block->as<GptBlock>()->forward(x);
  return torch::nn::functional::linear(norm(x), characters_in->weight);
}

}  // namespace example
