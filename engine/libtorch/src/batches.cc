#include "ckp/libtorch/batches.h"

#include <ATen/ATen.h>

namespace ckp::libtorch {

at::Tensor take_samples(const at::Tensor& samples, const at::Tensor& indices) {
  return samples.index_select(0, indices.to(samples.device()));
}

at::Tensor stack_samples(const std::vector<at::Tensor>& samples) { return at::stack(samples); }

std::vector<std::size_t> to_numbers(const at::Tensor& indices) {
  std::vector<std::size_t> numbers;
  const auto* first = indices.data_ptr<std::int64_t>();
  for (std::int64_t i = 0; i < indices.numel(); ++i) {
    numbers.push_back(static_cast<std::size_t>(first[i]));
  }
  return numbers;
}

}  // namespace ckp::libtorch
