// Fine-tuning: weights out of one part of a checkpoint, into a model of any name.
#include <fmt/format.h>
#include <torch/nn/module.h>

#include <set>

#include "ckp/error.h"
#include "ckp/libtorch/training_state.h"
#include "restore_plan.h"
#include "selection.h"

namespace ckp::libtorch {
namespace {

// What the model asks for, from where, and what has been filled for tied weights.
class Start {
 public:
  Start(RestorePlan& plan, const StartOptions& options, std::string model)
      : plan_(plan), options_(options), model_(std::move(model)) {}

  void parameter(const std::string& name, const at::Tensor& tensor) {
    const std::string stored = stored_in(options_.part, name);
    if (is_there(stored)) done_.insert(tensor.unsafeGetTensorImpl());
    fill(options_.part, name, tensor);
  }
  void buffer(const std::string& name, const at::Tensor& tensor) {
    const bool own = is_there(stored_in(options_.part, name));
    fill(own ? options_.part : options_.buffers, name, tensor);
  }

 private:
  bool is_there(const std::string& stored) const {
    return plan_.checkpoint().manifest().find(stored) != nullptr;
  }
  std::string stored_in(const std::string& part, const std::string& name) const {
    return part + "/" + stored_name(options_.select, name);
  }
  void fill(const std::string& part, const std::string& name, const at::Tensor& tensor) {
    if (!takes(options_.select, model_ + "/" + name)) return;
    const std::string stored = stored_in(part, name);
    // Averages stand under one name of several that share a tensor.
    if (!is_there(stored) && done_.contains(tensor.unsafeGetTensorImpl())) return;
    plan_.require(part, stored, tensor);
  }

  RestorePlan& plan_;
  const StartOptions& options_;
  std::string model_;
  std::set<const void*> done_;
};

}  // namespace

RestoreReport TrainingState::start_from(const Checkpoint& checkpoint,
                                        const StartOptions& options) const {
  const Entry* model = nullptr;
  std::size_t count = 0;
  for (const Entry& entry : entries_) {
    if (entry.module == nullptr || (!options.model.empty() && entry.name != options.model))
      continue;
    model = &entry;
    ++count;
  }
  if (count != 1) {
    throw Error(ErrorCode::invalid_argument,
                fmt::format("start_from: {}", count > 1 ? "there are several models; name one"
                                              : options.model.empty()
                                                  ? std::string("the state has no model")
                                                  : "the state has no model " + options.model));
  }
  const RestoreOptions restore_options{.load = options.load, .select = options.select};
  const ParameterNames names = parameter_names();
  RestorePlan plan(checkpoint, names, restore_options);
  if (!plan.has_part(options.part)) plan.missing_part(options.part);
  Start start(plan, options, model->name);
  // In the order of names: a tied weight's average has the least of them.
  std::map<std::string, at::Tensor> parameters;
  for (const auto& item : model->module->named_parameters()) {
    parameters.emplace(item.key(), item.value());
  }
  for (const auto& [name, tensor] : parameters) start.parameter(name, tensor);
  for (const auto& item : model->module->named_buffers()) start.buffer(item.key(), item.value());
  plan.check_all({});
  return plan.carry_out({});
}

}  // namespace ckp::libtorch
