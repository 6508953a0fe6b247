// What the models of a training state call their parameters.
#pragma once

#include <map>
#include <string>

namespace at {
class Tensor;
}
namespace torch {
namespace nn {
class Module;
}
}  // namespace torch

namespace ckp::libtorch {

struct ParameterName {
  std::string model;      // the part's name
  std::string parameter;  // "conv1.weight"
  friend bool operator==(const ParameterName&, const ParameterName&) = default;
  friend auto operator<=>(const ParameterName&, const ParameterName&) = default;
};

class ParameterNames {
 public:
  void add(const std::string& model, const torch::nn::Module& module);
  // The parameter's name, or nullptr. A tied parameter has the least of its names, so that the
  // answer does not depend on the order of registration.
  const ParameterName* find(const at::Tensor& parameter) const;

 private:
  std::map<const void*, ParameterName> names_;  // by TensorImpl
};

}  // namespace ckp::libtorch
