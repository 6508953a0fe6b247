#include "ckp/libtorch/parameter_names.h"

#include <torch/nn/module.h>

#include <algorithm>

namespace ckp::libtorch {

void ParameterNames::add(const std::string& model, const torch::nn::Module& module) {
  for (const auto& item : module.named_parameters()) {
    ParameterName name{model, item.key()};
    auto [place, made] = names_.try_emplace(item.value().unsafeGetTensorImpl(), name);
    if (!made) place->second = std::min(place->second, name);
  }
}

const ParameterName* ParameterNames::find(const at::Tensor& parameter) const {
  auto place = names_.find(parameter.unsafeGetTensorImpl());
  return place == names_.end() ? nullptr : &place->second;
}

}  // namespace ckp::libtorch
