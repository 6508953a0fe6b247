#include "ckp/libtorch/training_state.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/nn/module.h>
#include <torch/optim/optimizer.h>

#include <algorithm>
#include <array>
#include <iterator>

#include "basic_parts.h"
#include "certificate.h"
#include "ckp/certificate.h"
#include "ckp/error.h"
#include "ckp/libtorch/original_tensors.h"
#include "ckp/libtorch/parameter_names.h"
#include "ckp/libtorch/progress.h"
#include "optimizer_part.h"
#include "program_facts.h"
#include "restore_plan.h"
#include "state_tensors.h"

namespace ckp::libtorch {
namespace {

void check_devices(const RestoreOptions& options, const std::vector<std::string>& parts) {
  for (const auto& [part, device] : options.devices) {
    if (std::find(parts.begin(), parts.end(), part) != parts.end()) continue;
    throw Error(ErrorCode::invalid_argument,
                fmt::format("restore: devices names {}, which is no part of the state; nothing was "
                            "changed; its parts: {}",
                            part, fmt::join(parts, ", ")));
  }
}

}  // namespace

TrainingState::TrainingState() : buffers_(std::make_shared<HostBuffers>()) {}

TrainingState& TrainingState::add(Entry entry) {
  if (entry.name.empty() || entry.name.find('/') != std::string::npos) {
    throw Error(ErrorCode::invalid_argument,
                fmt::format("training state: \"{}\" is no name for a part: it must not be empty "
                            "or hold a slash",
                            entry.name));
  }
  if (entry.name == certificate_part) {
    throw Error(
        ErrorCode::invalid_argument,
        fmt::format("training state: \"{}\" is the name of the resume certificate; give the "
                    "part another",
                    entry.name));
  }
  for (const Entry& other : entries_) {
    if (other.name == entry.name) {
      throw Error(ErrorCode::invalid_argument,
                  fmt::format("training state: there are two parts named \"{}\"", entry.name));
    }
  }
  entries_.push_back(std::move(entry));
  return *this;
}

TrainingState& TrainingState::model(const std::string& name, torch::nn::Module& module,
                                    const ModelOptions& options) {
  return add(
      {.name = name, .part = std::make_shared<ModelPart>(module, options), .module = &module});
}

TrainingState& TrainingState::optimizer(const std::string& name,
                                        torch::optim::Optimizer& optimizer) {
  return add(
      {.name = name, .part = std::make_shared<OptimizerPart>(optimizer), .optimizer = &optimizer});
}

TrainingState& TrainingState::optimizer(const std::string& name, torch::optim::Optimizer& optimizer,
                                        std::shared_ptr<const OptimizerKind> kind) {
  return add({.name = name,
              .part = std::make_shared<OptimizerPart>(optimizer, std::move(kind)),
              .optimizer = &optimizer});
}

TrainingState& TrainingState::scheduler(const std::string& name, torch::optim::StepLR& scheduler) {
  return add({.name = name, .part = std::make_shared<StepLrPart>(scheduler)});
}

TrainingState& TrainingState::random_state(const std::string& name) {
  return add({.name = name, .part = std::make_shared<RandomStatePart>()});
}

TrainingState& TrainingState::generator(const std::string& name, const at::Generator& generator) {
  return add({.name = name, .part = std::make_shared<GeneratorPart>(generator)});
}

TrainingState& TrainingState::progress(const std::string& name, Progress& progress) {
  return part(name, progress);
}

TrainingState& TrainingState::value(const std::string& name, Value& value) {
  return add({.name = name, .part = std::make_shared<ValuePart>(value)});
}

TrainingState& TrainingState::part(const std::string& name, Part& part) {
  return add({.name = name, .part = std::shared_ptr<Part>(std::shared_ptr<Part>(), &part)});
}

TrainingState& TrainingState::fact(const std::string& name, Value value) {
  facts_.insert_or_assign(name, std::move(value));
  return *this;
}

TrainingState& TrainingState::ranks(const Ranks& ranks) {
  if (ranks.rank < 0 || ranks.rank >= ranks.world_size) {
    throw Error(
        ErrorCode::invalid_argument,
        fmt::format("training state: there is no rank {} of {}", ranks.rank, ranks.world_size));
  }
  ranks_ = ranks;
  return *this;
}

Ranks TrainingState::ranks() const { return ranks_ ? *ranks_ : ranks_from_environment(); }

void TrainingState::check_saves_here() const {
  const Ranks here = ranks();
  if (here.rank == 0 || here.save_on_every_rank) return;
  throw Error(ErrorCode::invalid_argument,
              fmt::format("save on rank {} of {}: every rank would write the same weights; save on "
                          "rank 0 alone, or say that each rank writes something of its own "
                          "(save_on_every_rank of TrainingState::ranks)",
                          here.rank, here.world_size));
}

std::vector<std::string> TrainingState::devices() const {
  std::vector<const torch::nn::Module*> models;
  for (const Entry& entry : entries_) {
    if (entry.module != nullptr) models.push_back(entry.module);
  }
  return devices_of(models);
}

std::vector<CertifiedPart> TrainingState::certified_parts() const {
  std::vector<CertifiedPart> parts;
  for (const Entry& entry : entries_) parts.push_back({entry.name, *entry.part, entry.module});
  return parts;
}

void TrainingState::warn(const Value::Map& certificate) const {
  for (const Value& warning : certificate.at("warnings").as_list()) {
    if (warned_->insert(warning.as_string()).second) TORCH_WARN(warning.as_string());
  }
}

std::map<std::string, double> TrainingState::learning_rates() const {
  std::map<std::string, double> rates;
  for (const Entry& entry : entries_) {
    if (entry.optimizer == nullptr) continue;
    std::size_t group = 0;
    for (const auto& one : entry.optimizer->param_groups()) {
      rates[fmt::format("{}/{}/lr", entry.name, group++)] = one.options().get_lr();
    }
  }
  if (rates.size() == 1) return {{"lr", rates.begin()->second}};
  return rates;
}

bool TrainingState::has(const Part& part) const {
  return std::any_of(entries_.begin(), entries_.end(),
                     [&](const Entry& entry) { return entry.part.get() == &part; });
}

TrainingState TrainingState::models() const {
  TrainingState models;
  std::copy_if(entries_.begin(), entries_.end(), std::back_inserter(models.entries_),
               [](const Entry& entry) { return entry.module != nullptr; });
  return models;
}

ParameterNames TrainingState::parameter_names() const {
  ParameterNames names;
  for (const Entry& entry : entries_) {
    if (entry.module != nullptr) names.add(entry.name, *entry.module);
  }
  return names;
}

StateDict TrainingState::state_dict(SnapshotMode snapshot) const {
  check_saves_here();
  StateDict state;
  StateTensors tensors;
  OriginalTensors originals;
  for (const Entry& entry : entries_) entry.part->original_tensors(originals);
  const ParameterNames names = parameter_names();
  for (const Entry& entry : entries_) {
    PartWriter writer(state, tensors, originals, names, entry.name);
    entry.part->save(writer);
  }
  tensors.put_into(state, snapshot, buffers_);
  Value::Map certificate = make_certificate(certified_parts(), state.values(), facts_, ranks());
  warn(certificate);
  state.set(certificate_part, std::move(certificate));
  return state;
}

void TrainingState::guard_saves(const SaveGuard& guard) const {
  for (const Entry& entry : entries_) entry.part->guard_saves(guard);
}

// Of parts that differ by rank, a checkpoint has the state of the rank that saved it.
bool TrainingState::is_other_ranks(RestorePlan& plan, const Entry& entry) const {
  const Ranks saved = saved_ranks(plan.checkpoint());
  if (saved.world_size < 2 || !entry.part->differs_by_rank()) return false;
  const Ranks here = ranks();
  if (here.rank == saved.rank) {
    plan.note_missing(fmt::format("{} of {} other rank{}", entry.name, saved.world_size - 1,
                                  saved.world_size == 2 ? "" : "s"));
    return false;
  }
  plan.note_missing(
      fmt::format("{} of rank {} (rank {} saved)", entry.name, here.rank, saved.rank));
  for (const auto& tensor : plan.tensors_of(entry.name)) plan.ignore(tensor.name);
  return true;
}

// What a part of the state is called in the checkpoint. Data normalisation has two names.
std::string TrainingState::stored_part(const RestorePlan& plan, const std::string& name) const {
  static constexpr std::array<const char*, 2> names{"normalization", "scaler_params"};
  if (plan.has_part(name) || (name != names[0] && name != names[1])) return name;
  const std::string other = names[name == names[0] ? 1 : 0];
  const bool is_part = std::any_of(entries_.begin(), entries_.end(),
                                   [&](const Entry& entry) { return entry.name == other; });
  return plan.has_part(other) && !is_part ? other : name;
}

// Everything that can fail because something does not fit. Returns the stored names of the parts.
std::vector<std::string> TrainingState::prepare(RestorePlan& plan) const {
  std::vector<std::string> names, parts;
  for (const Entry& entry : entries_) names.push_back(entry.name);
  check_devices(plan.options(), names);
  for (const Entry& entry : entries_) {
    parts.push_back(stored_part(plan, entry.name));
    if (!plan.has_part(parts.back())) {
      plan.missing_part(entry.name);
      continue;
    }
    if (is_other_ranks(plan, entry)) continue;
    PartReader reader(plan, parts.back());
    entry.part->check(reader);
  }
  compare_facts(plan, certified_parts(), facts_, ranks());
  plan.check_all(parts);
  return parts;
}

RestoreReport TrainingState::check(const Checkpoint& checkpoint,
                                   const RestoreOptions& options) const {
  const ParameterNames names = parameter_names();
  RestorePlan plan(checkpoint, names, options);
  return plan.report(prepare(plan));
}

RestoreReport TrainingState::restore(const Checkpoint& checkpoint,
                                     const RestoreOptions& options) const {
  const ParameterNames names = parameter_names();
  RestorePlan plan(checkpoint, names, options);
  return plan.carry_out(prepare(plan));
}

}  // namespace ckp::libtorch
