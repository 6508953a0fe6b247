// How the options and the per-parameter state of one kind of optimizer are saved and restored. The
// optimizers of LibTorch are known; for one of your own derive from OptimizerKind and give it to
// TrainingState::optimizer.
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
  // "AdamW". Another name in the checkpoint is refused.
  virtual std::string_view name() const = 0;
  // The options of one group. `options` is of the optimizer's own class.
  virtual Value::Map save_options(const Options& options) const = 0;
  // Checks stored options and returns what writes them into `options`, in place: LibTorch 2 would
  // mix a group that is made anew with the optimizer's defaults. Error(mismatch) says which option
  // does not fit; `where` names the group.
  virtual std::function<void()> check_options(const Value& stored, const std::string& where,
                                              Options& options) const = 0;
  // Writes the tensors of one parameter's state, as "<parameter>/<field>", and returns its plain
  // fields.
  virtual Value::Map save_state(const State& state, const std::string& parameter,
                                PartWriter& out) const = 0;
  // The state of a parameter made anew out of the plain fields and of tensors that
  // PartReader::new_tensor gives; these are filled by the time on_restore runs. Nothing of the
  // optimizer changes here. Tensors of the parameter's shape are to have that of `like`.
  virtual std::unique_ptr<State> check_state(const Value& stored, const std::string& parameter,
                                             const at::Tensor& like, PartReader& in) const = 0;
  // Whether the first parameter's state covers all parameters of the optimizer, one after the
  // other, as LBFGS does it. Then they must be the same in the same order, and `like` is as long
  // as all of them together.
  virtual bool is_flat() const { return false; }
};

}  // namespace ckp::libtorch
