// The state of an optimizer by parameter name.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ckp/libtorch/part.h"

namespace torch {
namespace optim {
class Optimizer;
}
}  // namespace torch

namespace ckp::libtorch {

class OptimizerKind;

// In the checkpoint: the values "type", "groups" (a list of {"params": [names], "options": {...},
// "constructed": {...}}: the options now, and as the program constructed them, before schedulers)
// and "state" ({name: {plain fields}}, an entry for every parameter that has state), and a tensor
// "<name>/<field>" per tensor field. Names are the parameters' names in their model; when the
// optimizer covers several models, "<model>/<name>".
class OptimizerPart : public Part {
 public:
  // `own`: of an optimizer that is none of LibTorch's.
  explicit OptimizerPart(torch::optim::Optimizer& optimizer,
                         std::shared_ptr<const OptimizerKind> own = nullptr);
  std::string_view kind() const override { return "optimizer"; }
  void save(PartWriter& out) const override;
  void check(PartReader& in) override;

 private:
  const OptimizerKind& options_kind(const std::string& part) const;
  const Value* matching_group(PartReader& in, const std::vector<std::string>& names,
                              const Value::List& groups);
  bool is_stored(PartReader& in, const std::string& stored);
  void check_group(PartReader& in, const OptimizerKind& kind, std::size_t number,
                   const std::vector<std::string>& names, const Value& stored);
  void check_state(PartReader& in, const OptimizerKind& kind, const std::string& name,
                   const at::Tensor& parameter);

  // The options of a group to restore: the stored ones, but for those that are to stay as
  // constructed. Tells the report what differs.
  Value chosen_options(PartReader& in, std::size_t number, const Value& stored,
                       Value::Map& constructed) const;

  torch::optim::Optimizer& optimizer_;
  std::shared_ptr<const OptimizerKind> own_;
  std::vector<Value::Map> constructed_;  // by group
};

}  // namespace ckp::libtorch
