#include "ckp/libtorch/training_state.h"

#include <fmt/format.h>
#include <torch/nn/module.h>

#include "basic_parts.h"
#include "ckp/error.h"
#include "ckp/libtorch/parameter_names.h"
#include "ckp/libtorch/progress.h"
#include "ckp/libtorch/tensor.h"
#include "optimizer_part.h"
#include "restore_plan.h"

namespace ckp::libtorch {

TrainingState& TrainingState::add(const std::string& name, std::shared_ptr<Part> part,
                                  const torch::nn::Module* module) {
  if (name.empty() || name.find('/') != std::string::npos) {
    throw Error(ErrorCode::invalid_argument,
                fmt::format("training state: \"{}\" is no name for a part: it must not be empty "
                            "or hold a slash",
                            name));
  }
  for (const Entry& entry : entries_) {
    if (entry.name == name) {
      throw Error(ErrorCode::invalid_argument,
                  fmt::format("training state: there are two parts named \"{}\"", name));
    }
  }
  entries_.push_back({name, std::move(part), module});
  return *this;
}

TrainingState& TrainingState::model(const std::string& name, torch::nn::Module& module) {
  return add(name, std::make_shared<ModelPart>(module), &module);
}

TrainingState& TrainingState::optimizer(const std::string& name,
                                        torch::optim::Optimizer& optimizer) {
  return add(name, std::make_shared<OptimizerPart>(optimizer));
}

TrainingState& TrainingState::scheduler(const std::string& name, torch::optim::StepLR& scheduler) {
  return add(name, std::make_shared<StepLrPart>(scheduler));
}

TrainingState& TrainingState::random_state(const std::string& name) {
  return add(name, std::make_shared<RandomStatePart>());
}

TrainingState& TrainingState::progress(const std::string& name, Progress& progress) {
  return part(name, progress);
}

TrainingState& TrainingState::value(const std::string& name, Value& value) {
  return add(name, std::make_shared<ValuePart>(value));
}

TrainingState& TrainingState::part(const std::string& name, Part& part) {
  return add(name, std::shared_ptr<Part>(std::shared_ptr<Part>(), &part));  // owns nothing
}

ParameterNames TrainingState::parameter_names() const {
  ParameterNames names;
  for (const Entry& entry : entries_) {
    if (entry.module != nullptr) names.add(entry.name, *entry.module);
  }
  return names;
}

StateDict TrainingState::state_dict() const {
  StateDict state;
  HostCopies copies;
  const ParameterNames names = parameter_names();
  for (const Entry& entry : entries_) {
    PartWriter writer(state, copies, names, entry.name);
    entry.part->save(writer);
  }
  return state;
}

RestoreReport TrainingState::restore(const Checkpoint& checkpoint,
                                     const RestoreOptions& options) const {
  const ParameterNames names = parameter_names();
  RestorePlan plan(checkpoint, names);
  std::vector<std::string> parts;
  for (const Entry& entry : entries_) {
    parts.push_back(entry.name);
    if (!plan.has_part(entry.name)) {
      plan.missing_part(entry.name, options.strict);
      continue;
    }
    PartReader reader(plan, entry.name);
    entry.part->check(reader);
  }
  plan.check_all(parts, options.strict);
  return plan.carry_out(parts, options.load);
}

}  // namespace ckp::libtorch
