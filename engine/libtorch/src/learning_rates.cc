#include "learning_rates.h"

#include <torch/optim/adam.h>
#include <torch/optim/adamw.h>
#include <torch/optim/optimizer.h>
#include <torch/optim/rmsprop.h>
#include <torch/optim/sgd.h>

namespace ckp::libtorch {
namespace {

template <class TOptions>
bool set_first_beta(torch::optim::OptimizerOptions& options, double beta) {
  auto* typed = dynamic_cast<TOptions*>(&options);
  if (typed != nullptr) std::get<0>(typed->betas()) = beta;
  return typed != nullptr;
}

template <class TOptions>
bool set_plain_momentum(torch::optim::OptimizerOptions& options, double momentum) {
  auto* typed = dynamic_cast<TOptions*>(&options);
  if (typed != nullptr) typed->momentum(momentum);
  return typed != nullptr;
}

template <class TOptions>
bool is(const torch::optim::OptimizerOptions& options) {
  return dynamic_cast<const TOptions*>(&options) != nullptr;
}

}  // namespace

std::vector<double> learning_rates(const torch::optim::Optimizer& optimizer) {
  std::vector<double> rates;
  for (const auto& group : optimizer.param_groups()) rates.push_back(group.options().get_lr());
  return rates;
}

void set_learning_rates(torch::optim::Optimizer& optimizer, const std::vector<double>& rates) {
  auto& groups = optimizer.param_groups();
  for (std::size_t g = 0; g < groups.size(); ++g) groups[g].options().set_lr(rates.at(g));
}

bool has_momentum(const torch::optim::Optimizer& optimizer) {
  for (const auto& group : optimizer.param_groups()) {
    const auto& options = group.options();
    if (!is<torch::optim::SGDOptions>(options) && !is<torch::optim::AdamOptions>(options) &&
        !is<torch::optim::AdamWOptions>(options) && !is<torch::optim::RMSpropOptions>(options)) {
      return false;
    }
  }
  return true;
}

void set_momentum(torch::optim::Optimizer& optimizer, std::size_t group, double momentum) {
  auto& options = optimizer.param_groups().at(group).options();
  if (set_first_beta<torch::optim::AdamOptions>(options, momentum)) return;
  if (set_first_beta<torch::optim::AdamWOptions>(options, momentum)) return;
  if (set_plain_momentum<torch::optim::SGDOptions>(options, momentum)) return;
  set_plain_momentum<torch::optim::RMSpropOptions>(options, momentum);
}

}  // namespace ckp::libtorch
