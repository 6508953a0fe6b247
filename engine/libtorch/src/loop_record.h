// What a training loop records of itself with a run and with each attempt.
#pragma once

#include <optional>
#include <string>

#include "ckp/libtorch/loop_options.h"
#include "ckp/libtorch/training_state.h"
#include "ckp/run.h"

namespace ckp::libtorch {

// The commit of an environment, as it was captured, with "-dirty" behind it when files differed.
std::optional<std::string> code_version(const Value::Map& environment);

// Captures the environment unless the options say no: blocks for as long as git takes.
RunOptions run_options(const std::string& name, const LoopOptions& options,
                       const TrainingState& state);
AttemptOptions attempt_options(const LoopOptions& options, const TrainingState& state);

}  // namespace ckp::libtorch
