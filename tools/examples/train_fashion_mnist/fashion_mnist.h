// Fashion-MNIST as tensors.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

#include "ckp/value.h"

namespace example {

struct Dataset {
  at::Tensor data;    // images: float [N, 1, 28, 28], normalised
  at::Tensor target;  // labels: int64 [N], 0..9
  std::int64_t size() const { return target.size(0); }
};

// The first `size` images of the training or of the validation files.
Dataset load_fashion_mnist(const std::filesystem::path& folder, bool training, std::int64_t size);

// Of the labels: "0" to "9", those that there are.
std::map<std::string, std::int64_t> count_classes(const Dataset& data);

// What the images went through: {"mean", "std"}.
ckp::Value::Map normalization();

}  // namespace example
