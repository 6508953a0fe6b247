// The state of an optimizer by parameter name.
#pragma once

#include <string>
#include <vector>

#include "ckp/libtorch/part.h"

namespace torch {
namespace optim {
class Optimizer;
}
}  // namespace torch

namespace ckp::libtorch {

class OptimizerKind;

// In the checkpoint: the values "type", "groups" (a list of {"params": [names], "options": {...}})
// and "state" ({name: {plain fields}}, an entry for every parameter that has state), and a tensor
// "<name>/<field>" per tensor field. Names are the parameters' names in their model; when the
// optimizer covers several models, "<model>/<name>".
class OptimizerPart : public Part {
 public:
  explicit OptimizerPart(torch::optim::Optimizer& optimizer) : optimizer_(optimizer) {}
  void save(PartWriter& out) const override;
  void check(PartReader& in) override;

 private:
  void check_group(PartReader& in, const OptimizerKind& kind, std::size_t number,
                   const std::vector<std::string>& names, const Value& stored);
  void check_state(PartReader& in, const OptimizerKind& kind, const std::string& name,
                   const at::Tensor& parameter);

  torch::optim::Optimizer& optimizer_;
};

}  // namespace ckp::libtorch
