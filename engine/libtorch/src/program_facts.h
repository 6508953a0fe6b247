// What a certificate records of the program and the machine around a training state.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

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

// What LibTorch tells of itself: "libtorch", "threads", and "cuda_devices" when it sees some.
Value::Map libtorch_facts();

// Where the models' parameters are, each place once.
std::vector<std::string> devices_of(std::span<const torch::nn::Module* const> models);

}  // namespace ckp::libtorch
