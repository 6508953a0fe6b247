// A part of a training state: something with state of its own that a resume must bring back. Derive
// from Part for what the library does not know (see Sampler and Progress for examples).
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "ckp/format/manifest.h"
#include "ckp/state_dict.h"

namespace at {
class Tensor;
}
namespace c10 {
struct Device;
}

namespace ckp::libtorch {

class OriginalTensors;
class ParameterNames;
class RestorePlan;
class StateTensors;

// Where a part puts its state. Names and paths are relative to the part: tensor("exp_avg", t) of
// the part "optimizer" becomes "optimizer/exp_avg".
class PartWriter {
 public:
  PartWriter(StateDict& state, StateTensors& tensors, const OriginalTensors& originals,
             const ParameterNames& parameters, std::string part)
      : state_(state),
        tensors_(tensors),
        originals_(originals),
        parameters_(parameters),
        part_(std::move(part)) {}

  const std::string& part() const { return part_; }
  // Of any kind: dense, sparse COO and CSR, quantized, meta. `check_finite = false` for state where
  // NaN and infinity are legitimate.
  void tensor(std::string_view name, const at::Tensor& tensor, bool check_finite = true);
  // Whether the tensors that follow are changed by optimizer steps only, never by a forward or
  // backward pass: a lazy save (LoopOptions::lazy_saves) copies these while such passes run, and
  // all others at once. False at first.
  void only_steps_change_what_follows(bool only_steps) { only_steps_ = only_steps; }
  // An empty path means the part as a whole: then it is that one value.
  void value(std::string_view path, Value value);
  // What the models of the state call their parameters.
  const ParameterNames& parameters() const { return parameters_; }

 private:
  void add_dense(const std::string& full, const at::Tensor& tensor, bool check_finite);

  StateDict& state_;
  StateTensors& tensors_;
  const OriginalTensors& originals_;
  const ParameterNames& parameters_;
  std::string part_;
  bool only_steps_ = false;
};

// What a part finds in the checkpoint, and where it says what it wants of it. Nothing of the caller
// changes while parts check: tensors are filled and on_restore functions run after the last check.
class PartReader {
 public:
  PartReader(RestorePlan& plan, std::string part) : plan_(plan), part_(std::move(part)) {}

  const std::string& part() const { return part_; }

  // Tensors: names that the checkpoint has below this part, and the description of one, or nullptr.
  std::vector<std::string> names() const;
  const format::TensorEntry* find(std::string_view name) const;
  // Fills `target` (of any device, strides and kind) in place. A missing tensor, another shape or
  // another dtype is a problem that stops the restore as a whole before it changes anything.
  void tensor(std::string_view name, const at::Tensor& target);
  // The same, but a missing tensor is only reported. Returns whether it is there.
  bool optional_tensor(std::string_view name, const at::Tensor& target);
  // A new tensor, filled by the time that on_restore runs: dtype and shape as stored, and the
  // strides too where they leave no gaps. On `device`, unless RestoreOptions::devices has another
  // for this part.
  at::Tensor new_tensor(std::string_view name, const c10::Device& device);
  // Says that this tensor is left out on purpose: the report names it as ignored.
  void ignore(std::string_view name);

  // Values: the one at a path; an empty path means the part as a whole. Error(mismatch) when
  // absent.
  const Value& value(std::string_view path) const;
  const Value* find_value(std::string_view path) const;

  // What the models of the state call their parameters.
  const ParameterNames& parameters() const;

  // Compares an option that the program sets, such as a learning rate, with the checkpoint's: where
  // they differ, the report says so and which one is kept. `path` is relative to the part: "0/lr".
  void compare(std::string_view path, Value program, Value checkpoint);
  // Whether this option is to stay as the program constructed it
  // (RestoreOptions::keep_constructed); otherwise the checkpoint's holds.
  bool keeps_constructed(std::string_view path) const;
  // Whether the learning rates of an optimizer are to stay so.
  bool keeps_learning_rates() const;
  // Says that state is taken over in another form: "batch size 32 in the checkpoint, 64 here".
  void converted(std::string_view what);
  // RestoreOptions: whether everything must fit; whether a tensor of this part, or the state of a
  // parameter, is to be restored; and what a parameter of this program is called in the checkpoint.
  bool strict() const;
  bool selected(std::string_view name) const;
  std::string stored_name(std::string_view parameter) const;
  std::string name_here(std::string_view stored_parameter) const;
  // Says that this is left as it was because the checkpoint lacks it, when not strict.
  void note_missing(std::string_view name);

  // Notes something that does not fit. The restore stops after all parts have checked, with every
  // problem named. `what` starts with the name of the object: "optimizer: 2 groups here, ...".
  void mismatch(std::string what);
  // Runs once everything is checked and loaded. It must not fail.
  void on_restore(std::function<void()> action);

 private:
  void fill_kind(const std::string& full, const Value& kind, const at::Tensor& target);
  at::Tensor make_tensor(std::string_view name, const c10::Device& device);

  RestorePlan& plan_;
  std::string part_;
};

// What a lazy save may still be reading (LoopOptions::lazy_saves), and who changes it. Each waits
// until it has been copied, and returns at once when nothing is.
struct SaveGuard {
  std::function<void()> before_step;    // right before an optimizer's step
  std::function<void()> before_change;  // before parameters or averages change in another way
};

class Part {
 public:
  virtual ~Part() = default;
  // What it is, in the resume certificate and in advice about what is missing: "scheduler",
  // "grad_scaler", "ema", "sampler", ...
  virtual std::string_view kind() const { return "part"; }
  // Whether each of several ranks has a state of its own here, such as random numbers, and not the
  // same one.
  virtual bool differs_by_rank() const { return false; }
  // Describes the state. Tensors are not copied: they stay unchanged until the save has returned.
  virtual void save(PartWriter& out) const = 0;
  // Compares the checkpoint with this object and asks for what it needs, without changing
  // anything: changes go into on_restore. Throws Error(mismatch) where it cannot go on checking.
  virtual void check(PartReader& in) = 0;
  // For a part that has put other values into tensors of a model for a while: what a save is to
  // write for these tensors.
  virtual void original_tensors(OriginalTensors& /*originals*/) const {}
  // For a part that steps an optimizer, or changes parameters or averages itself: a TrainingLoop
  // with lazy saves gives it what to call before. Never empty functions; they do nothing once the
  // loop is gone.
  virtual void guard_saves(const SaveGuard& /*guard*/) {}
};

}  // namespace ckp::libtorch
