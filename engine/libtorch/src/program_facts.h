// What a certificate records of the program and the machine around a training state.
#pragma once

#include <span>
#include <string>

#include "ckp/libtorch/ranks.h"
#include "ckp/value.h"

namespace torch {
namespace nn {
class Module;
}
}  // namespace torch

namespace ckp::libtorch {

// "library", "libtorch", "threads", "deterministic_algorithms", "cudnn_deterministic",
// "cudnn_benchmark", "world_size" and "rank", "devices" (of the models' parameters),
// "command_line".
Value::Map program_facts(std::span<const torch::nn::Module* const> models, const Ranks& ranks);

}  // namespace ckp::libtorch
