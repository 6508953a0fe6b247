#include "loop_record.h"

#include <algorithm>

#include "program_facts.h"

namespace ckp::libtorch {
namespace {

Value::Map environment_of(const LoopOptions& options, const TrainingState& state) {
  if (!options.capture) return options.environment;
  Value::Map environment = options.environment;  // the caller's keys win
  environment.merge(libtorch_facts());
  const std::vector<std::string> devices = state.devices();
  environment.emplace("devices", Value::List(devices.begin(), devices.end()));
  return capture_environment(environment, options.capture_options);
}

// Of all processes of the training: this one saves for them.
double devices_of(const LoopOptions& options, const TrainingState& state) {
  if (options.devices) return *options.devices;
  const std::vector<std::string> devices = state.devices();
  const auto gpus = std::count_if(devices.begin(), devices.end(),
                                  [](const std::string& one) { return one != "cpu"; });
  return static_cast<double>(std::max<std::int64_t>(1, gpus) * state.ranks().world_size);
}

}  // namespace

std::optional<std::string> code_version(const Value::Map& environment) {
  const auto commit = environment.find("git_commit"), dirty = environment.find("git_dirty");
  if (commit == environment.end() || commit->second.get_if<std::string>() == nullptr) {
    return std::nullopt;
  }
  const bool is_dirty = dirty != environment.end() && dirty->second == Value(true);
  return commit->second.as_string() + (is_dirty ? "-dirty" : "");
}

RunOptions run_options(const std::string& name, const LoopOptions& options,
                       const TrainingState& state) {
  RunOptions run;
  run.name = name;
  run.experiment = options.experiment;
  run.parameters = options.parameters;
  run.tags = options.tags;
  run.environment = environment_of(options, state);
  run.data = options.data;
  run.devices = devices_of(options, state);
  run.directions = options.directions;
  if (!options.best.metric.empty()) {
    run.directions[options.best.metric] = options.best.better;
    run.best_metric = options.best.metric;
  }
  return run;
}

AttemptOptions attempt_options(const LoopOptions& options, const TrainingState& state) {
  AttemptOptions attempt;
  attempt.parameters = options.parameters;
  attempt.environment = environment_of(options, state);
  attempt.data = options.data;
  attempt.devices = devices_of(options, state);
  return attempt;
}

}  // namespace ckp::libtorch
