// A model small enough to train in a test, and the comparing of its states.
#pragma once

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <functional>
#include <map>
#include <string>

#include "ckp/error.h"
#include "ckp/libtorch/digest.h"
#include "ckp/libtorch/save_file.h"
#include "ckp/libtorch/training_state.h"
#include "ckp/load.h"
#include "support/temporary_directory.h"

namespace ckp::test {

struct SmallNetImpl : torch::nn::Module {
  // The names are the same either way, only the order of named_parameters() differs.
  explicit SmallNetImpl(bool reversed = false, std::int64_t hidden = 7)
      : fc1(5, hidden), norm(hidden), fc2(hidden, 3) {
    if (reversed) {
      register_module("fc2", fc2);
      register_module("norm", norm);
      register_module("fc1", fc1);
    } else {
      register_module("fc1", fc1);
      register_module("norm", norm);
      register_module("fc2", fc2);
    }
  }
  torch::Tensor forward(torch::Tensor x) { return fc2(torch::relu(norm(fc1(x)))); }

  torch::nn::Linear fc1;
  torch::nn::BatchNorm1d norm;
  torch::nn::Linear fc2;
};
TORCH_MODULE(SmallNet);

// Training steps on inputs that depend on `step` alone and leave the default generator alone.
inline void train(SmallNet& net, torch::optim::Optimizer& optimizer, int first, int count) {
  for (int step = first; step < first + count; ++step) {
    auto generator = at::make_generator<at::CPUGeneratorImpl>(static_cast<std::uint64_t>(step));
    torch::Tensor x = at::randn({8, 5}, generator, at::TensorOptions(at::kFloat));
    optimizer.zero_grad();
    net(x).square().mean().backward();
    optimizer.step();
  }
}

inline std::string digest(const SmallNet& net) { return libtorch::weights_digest(*net).hex(); }

// The message of the ckp::Error that `action` throws, after its code has been checked.
inline std::string error_of(ErrorCode code, const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(to_string(error.code()), to_string(code)) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "no error";
  return {};
}

inline ::testing::AssertionResult contains(const std::string& text, const std::string& part) {
  if (text.find(part) != std::string::npos) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "\"" << part << "\" is not in: " << text;
}

}  // namespace ckp::test
