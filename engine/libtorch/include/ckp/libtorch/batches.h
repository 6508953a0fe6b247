// Batches by index, from whatever holds the samples.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

namespace ckp::libtorch {

struct Batch {
  at::Tensor data;
  at::Tensor target;
  at::Tensor indices;  // int64, on the CPU: which samples these are
  std::int64_t size() const { return indices.size(0); }
  // Whether the optimizer steps after this one: always, unless gradients accumulate. The last batch
  // of an epoch ends a step, too.
  bool last_of_step() const { return last_of_step_; }

  bool last_of_step_ = true;  // set by the loop
};

// Gets the samples with these indices.
using BatchSource = std::function<Batch(const at::Tensor& indices)>;

// Along the first dimension.
at::Tensor take_samples(const at::Tensor& samples, const at::Tensor& indices);
at::Tensor stack_samples(const std::vector<at::Tensor>& samples);
std::vector<std::size_t> to_numbers(const at::Tensor& indices);

// From a struct of two tensors `data` and `target`, or from a dataset of torch::data, whose
// get_batch(indices) returns a vector of Examples. It must outlive the source.
template <class Dataset>
BatchSource batch_source(Dataset& dataset) {
  if constexpr (requires { dataset.data.index_select(0, dataset.target); }) {
    return [&dataset](const at::Tensor& indices) {
      return Batch{take_samples(dataset.data, indices), take_samples(dataset.target, indices),
                   indices};
    };
  } else {
    return [&dataset](const at::Tensor& indices) {
      std::vector<at::Tensor> data, target;
      for (auto& example : dataset.get_batch(to_numbers(indices))) {
        data.push_back(std::move(example.data));
        target.push_back(std::move(example.target));
      }
      return Batch{stack_samples(data), stack_samples(target), indices};
    };
  }
}

}  // namespace ckp::libtorch
