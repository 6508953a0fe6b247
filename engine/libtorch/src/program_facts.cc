#include "program_facts.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <torch/nn/module.h>
#include <torch/version.h>

#include <charconv>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <set>
#include <string_view>

namespace ckp::libtorch {
namespace {

// The number in an environment variable, or `otherwise` where there is none.
std::int64_t number_from(const char* variable, std::int64_t otherwise) {
  const char* text = std::getenv(variable);
  const std::string_view digits = text == nullptr ? "" : text;
  std::int64_t number = 0;
  const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return digits.empty() || result.ec != std::errc() ? otherwise : number;
}

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

Value::List devices_of(std::span<const torch::nn::Module* const> models) {
  std::set<std::string> devices;
  for (const torch::nn::Module* model : models) {
    for (const torch::Tensor& parameter : model->parameters()) {
      devices.insert(parameter.device().str());
    }
  }
  return {devices.begin(), devices.end()};
}

}  // namespace

Value::Map program_facts(std::span<const torch::nn::Module* const> models) {
  const at::Context& context = at::globalContext();
  return {{"library", "ckpstore " CKP_VERSION},
          {"libtorch", TORCH_VERSION},
          {"threads", at::get_num_threads()},
          {"deterministic_algorithms", context.deterministicAlgorithms()},
          {"cudnn_deterministic", context.deterministicCuDNN()},
          {"cudnn_benchmark", context.benchmarkCuDNN()},
          {"world_size", number_from("WORLD_SIZE", 1)},
          {"rank", number_from("RANK", 0)},
          {"devices", devices_of(models)},
          {"command_line", command_line()}};
}

}  // namespace ckp::libtorch
