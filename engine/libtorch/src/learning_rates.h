// The learning rates of an optimizer, one for each group.
#pragma once

#include <vector>

namespace torch {
namespace optim {
class Optimizer;
}
}  // namespace torch

namespace ckp::libtorch {

std::vector<double> learning_rates(const torch::optim::Optimizer& optimizer);
void set_learning_rates(torch::optim::Optimizer& optimizer, const std::vector<double>& rates);

// Sets momentum, or the first of two betas, of a group that has it.
bool has_momentum(const torch::optim::Optimizer& optimizer);
void set_momentum(torch::optim::Optimizer& optimizer, std::size_t group, double momentum);

}  // namespace ckp::libtorch
