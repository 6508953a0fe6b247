// What differs between the kinds of optimizers: the types of their options and states.
#pragma once

#include <torch/optim/optimizer.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "ckp/libtorch/part.h"

namespace ckp::libtorch {

class OptimizerKind {
 public:
  using Options = torch::optim::OptimizerOptions;
  using State = torch::optim::OptimizerParamState;

  virtual ~OptimizerKind() = default;
  virtual std::string_view name() const = 0;  // "AdamW"
  virtual Value::Map save_options(const Options& options) const = 0;
  // Checks stored options and returns what writes them into `options`, in place: LibTorch 2 would
  // mix a group that is made anew with the optimizer's defaults. Error(mismatch) says which option
  // does not fit.
  virtual std::function<void()> check_options(const Value& stored, const std::string& where,
                                              Options& options) const = 0;
  // Writes the tensors of one parameter's state and returns its plain fields.
  virtual Value::Map save_state(const State& state, const std::string& parameter,
                                PartWriter& out) const = 0;
  // The state of a parameter, made anew; its tensors are filled by the time on_restore runs.
  virtual std::unique_ptr<State> check_state(const Value& stored, const std::string& parameter,
                                             const at::Tensor& like, PartReader& in) const = 0;
};

// Error(unsupported), naming `part`, for an optimizer that is none of the known ones.
const OptimizerKind& kind_of(const torch::optim::Optimizer& optimizer, const std::string& part);

}  // namespace ckp::libtorch
