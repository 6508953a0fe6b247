// Everything that a resume must bring back, described once:
//
//   ckp::libtorch::TrainingState state;
//   state.model("model", net).optimizer("optimizer", adamw).scheduler("scheduler", step_lr)
//       .part("sampler", sampler).part("progress", progress).random_state("random");
//   run.save(state.state_dict(), {.epoch = 3, .step = 1200});
//   state.restore(checkpoint);
#pragma once

#include <concepts>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "ckp/libtorch/model_options.h"
#include "ckp/libtorch/part.h"
#include "ckp/libtorch/ranks.h"
#include "ckp/libtorch/restore_report.h"
#include "ckp/load.h"
#include "ckp/save.h"
#include "ckp/state_dict.h"

namespace at {
struct Generator;
}
namespace torch {
namespace nn {
class Module;
}
namespace optim {
class Optimizer;
class StepLR;
}  // namespace optim
}  // namespace torch

namespace ckp::libtorch {

struct CertifiedPart;
class HostBuffers;
class OptimizerKind;
struct Progress;

struct StartOptions {
  // Of the checkpoint: a model, or the averages of an Ema or Swa, with the buffers of `buffers`.
  std::string part = "model";
  std::string buffers = "model";
  std::string model = {};        // of this state; empty: the only one
  RestoreSelection select = {};  // include, exclude, rename; patterns begin with the model's name
  LoadOptions load = {};
};

// Refers to the caller's objects, which must outlive it; owns none of them. Copies refer to the
// same objects. One thread at a time, and not while a training step runs. A part's name is the
// first segment of the names in the checkpoint: not empty, no slash, unique, not "certificate";
// Error(invalid_argument) otherwise.
class TrainingState {
 public:
  TrainingState();
  // Parameters and buffers, under the names of named_parameters() and named_buffers().
  TrainingState& model(const std::string& name, torch::nn::Module& module,
                       const ModelOptions& options = {});
  // The same for a holder such as `Net net;` of TORCH_MODULE(Net), or a std::shared_ptr.
  template <class Holder>
  requires requires(Holder& holder) { *holder; }
  TrainingState& model(const std::string& name, Holder& holder, const ModelOptions& options = {}) {
    return model(name, static_cast<torch::nn::Module&>(*holder), options);
  }
  // SGD, Adam, AdamW, RMSprop, Adagrad or LBFGS: the options of each group, and each parameter's
  // state under the name that a model of this TrainingState has for it. Saving or restoring throws
  // Error(invalid_argument) when no model has it, Error(unsupported) for other optimizers. Groups
  // must hold the same parameters as those saved, in any order; LBFGS's in the same. When the
  // restore is not strict, a group takes the options of the stored group that has most of its
  // parameters, and a parameter that the checkpoint lacks keeps the state that it has.
  TrainingState& optimizer(const std::string& name, torch::optim::Optimizer& optimizer);
  // An optimizer of your own: `kind` says what its options and states are (optimizer_kind.h).
  TrainingState& optimizer(const std::string& name, torch::optim::Optimizer& optimizer,
                           std::shared_ptr<const OptimizerKind> kind);
  // The count of its steps. The learning rates are options of the optimizer, which must be in the
  // state, too; step size and gamma are the caller's to give again.
  TrainingState& scheduler(const std::string& name, torch::optim::StepLR& scheduler);
  // The default generators: the CPU's and every GPU's.
  TrainingState& random_state(const std::string& name);
  // A generator of your own; copies of it share its state. (States of other libraries, such as
  // numpy's, are bytes: value(name, value) keeps a Value::Bytes.)
  TrainingState& generator(const std::string& name, const at::Generator& generator);
  TrainingState& progress(const std::string& name, Progress& progress);
  // One plain value: configuration, history, a best score. The mean and deviation of the data, by
  // which whoever uses the weights normalises his own, are "normalization" by convention;
  // "scaler_params" is another name of the same part, and either is restored as the other.
  TrainingState& value(const std::string& name, Value& value);
  // Anything else. See part.h.
  TrainingState& part(const std::string& name, Part& part);

  // Where this process stands among several that train together, when the environment does not say
  // so: see ranks_from_environment. The certificate records it.
  TrainingState& ranks(const Ranks& ranks);
  Ranks ranks() const;
  // Throws the Error(invalid_argument) of a save above rank 0 that nobody has asked for.
  void check_saves_here() const;

  // Something about this program that a resume should compare: a batch size, the code's version.
  TrainingState& fact(const std::string& name, Value value);

  // The learning rates now: {"lr", ...} of a single group, else {"optimizer/0/lr", ...}.
  std::map<std::string, double> learning_rates() const;
  bool has(const Part& part) const;
  // Where the models' parameters are, each place once: "cpu", "cuda:0", ...
  std::vector<std::string> devices() const;
  // A state of the models alone.
  TrainingState models() const;

  // The state as the engine saves it: views of the live memory. Save it before training goes on.
  // With it goes the resume certificate (ckp/certificate.h). What a resume from it will lack is
  // told through LibTorch's warnings, once for each TrainingState and its copies. Throws as
  // check_saves_here. For SnapshotMode::lazy all that forward and backward passes may change
  // (buffers, random states, what parts of one's own write) is copied here, and the views are of
  // parameters, optimizers' states and averages only: those wait for PendingSave::wait_copied.
  StateDict state_dict(SnapshotMode snapshot = SnapshotMode::copied) const;
  // Gives the parts what waits for a lazy save; see Part::guard_saves. TrainingLoop does it.
  void guard_saves(const SaveGuard& guard) const;

  // Restores every part in place. All names, shapes, dtypes and groups are checked first:
  // Error(mismatch) names everything that does not fit, and nothing has changed then.
  // Every tensor is filled where the program has it, whatever device it was saved from: the model
  // may be on a GPU and its averages on the CPU (the device of Ema and Swa). What it makes itself,
  // the state of an optimizer, lies beside its parameter, or where RestoreOptions::devices says.
  // What cannot be filled in place goes through 32 MiB of host memory, or the largest tensor.
  // Error(corrupt) when the bytes are damaged; tensors of models may hold anything then, and
  // other parts are as they were. Of a checkpoint that one of several ranks has saved, the random
  // numbers of the others are reported as missing; on another rank than that one they stay as the
  // program made them. The report names also what the program has set differently from
  // the one that saved: options as they were when their optimizer was added here, and the facts of
  // the certificate.
  RestoreReport restore(const Checkpoint& checkpoint, const RestoreOptions& options = {}) const;

  // Checks what restore would, and says what it would do, without changing anything.
  RestoreReport check(const Checkpoint& checkpoint, const RestoreOptions& options = {}) const;

  // Begins a training of its own with another's weights: fine-tuning. Fills the one model of this
  // state from `options.part`, a model of the checkpoint or its averages, and nothing else: all
  // other parts stay as the program made them, and the report names what the checkpoint has as
  // ignored. Every tensor of the model must be there and fit, or be left out by name (a new head:
  // exclude = {"model/head.*"}). Error(mismatch) otherwise, and for a part that is not there;
  // Error(invalid_argument) when this state has no model or several and `options.model` names none.
  RestoreReport start_from(const Checkpoint& checkpoint, const StartOptions& options = {}) const;

 private:
  struct Entry {
    std::string name;
    std::shared_ptr<Part> part;
    const torch::nn::Module* module = nullptr;           // of a model
    const torch::optim::Optimizer* optimizer = nullptr;  // of an optimizer
  };
  TrainingState& add(Entry entry);
  std::vector<CertifiedPart> certified_parts() const;
  std::vector<std::string> prepare(RestorePlan& plan) const;
  std::string stored_part(const RestorePlan& plan, const std::string& name) const;
  bool is_other_ranks(RestorePlan& plan, const Entry& entry) const;
  void warn(const Value::Map& certificate) const;
  ParameterNames parameter_names() const;

  std::vector<Entry> entries_;
  Value::Map facts_;
  std::optional<Ranks> ranks_;
  // Shared by copies: what has been told.
  std::shared_ptr<std::set<std::string>> warned_ = std::make_shared<std::set<std::string>>();
  std::shared_ptr<HostBuffers> buffers_;  // likewise: host memory for saves of device memory
};

}  // namespace ckp::libtorch
