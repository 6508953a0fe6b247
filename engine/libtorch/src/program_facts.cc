#include "program_facts.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <torch/nn/module.h>
#include <torch/version.h>

#include <fstream>
#include <iterator>
#include <set>

namespace ckp::libtorch {
namespace {

// Linux keeps the words apart by NULs.
std::string command_line() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), {}};
  while (!text.empty() && text.back() == '\0') text.pop_back();
  for (char& c : text) {
    if (c == '\0') c = ' ';
  }
  return is_utf8(text) ? text : "";
}

}  // namespace

std::vector<std::string> devices_of(std::span<const torch::nn::Module* const> models) {
  std::set<std::string> devices;
  for (const torch::nn::Module* model : models) {
    for (const torch::Tensor& parameter : model->parameters()) {
      devices.insert(parameter.device().str());
    }
  }
  return {devices.begin(), devices.end()};
}

Value::Map libtorch_facts() {
  Value::Map facts{{"libtorch", TORCH_VERSION}, {"threads", at::get_num_threads()}};
  if (const auto count = at::getNumGPUs(); count > 0) {
    facts.emplace("cuda_devices", static_cast<std::int64_t>(count));
  }
  return facts;
}

Value::Map program_facts(std::span<const torch::nn::Module* const> models, const Ranks& ranks) {
  const at::Context& context = at::globalContext();
  const std::vector<std::string> devices = devices_of(models);
  return {{"library", "ckpstore " CKP_VERSION},
          {"libtorch", TORCH_VERSION},
          {"threads", at::get_num_threads()},
          {"deterministic_algorithms", context.deterministicAlgorithms()},
          {"cudnn_deterministic", context.deterministicCuDNN()},
          {"cudnn_benchmark", context.benchmarkCuDNN()},
          {"world_size", ranks.world_size},
          {"rank", ranks.rank},
          {"devices", Value::List(devices.begin(), devices.end())},
          {"command_line", command_line()}};
}

}  // namespace ckp::libtorch
