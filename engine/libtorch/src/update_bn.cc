#include "ckp/libtorch/update_bn.h"

#include <ATen/ATen.h>
#include <torch/nn/module.h>
#include <torch/nn/modules/batchnorm.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace ckp::libtorch {
namespace {

namespace nn = torch::nn;

// Changes a model for as long as its statistics are measured.
class Measuring {
 public:
  explicit Measuring(nn::Module& model) {
    visit(model);
    for (const auto& module : model.modules(/*include_self=*/false)) visit(*module);
    model.train();
  }
  ~Measuring() {
    // The last first: a module that stands in two places was changed twice.
    std::for_each(undo_.rbegin(), undo_.rend(), [](const auto& undo) { undo(); });
    for (const auto& [module, training] : modes_) module->train(training);
  }
  Measuring(const Measuring&) = delete;
  Measuring& operator=(const Measuring&) = delete;

  bool has_norms() const { return !undo_.empty(); }

 private:
  void visit(nn::Module& module) {
    modes_.emplace_back(&module, module.is_training());
    visit_norm<nn::BatchNorm1dImpl>(module);
    visit_norm<nn::BatchNorm2dImpl>(module);
    visit_norm<nn::BatchNorm3dImpl>(module);
  }
  template <class Impl>
  void visit_norm(nn::Module& module) {
    auto* norm = dynamic_cast<Impl*>(&module);
    if (norm == nullptr) return;
    norm->reset_running_stats();
    const auto momentum = norm->options.momentum();
    undo_.push_back([norm, momentum] { norm->options.momentum(momentum); });
    norm->options.momentum(std::decay_t<decltype(momentum)>());  // none: the mean of all batches
  }

  std::vector<std::function<void()>> undo_;
  // In the order of the tree: train() reaches everything below, so the modules above come first.
  std::vector<std::pair<nn::Module*, bool>> modes_;
};

}  // namespace

void update_bn(nn::Module& model, const std::function<void()>& pass) {
  at::NoGradGuard no_grad;
  const Measuring measuring(model);
  if (measuring.has_norms()) pass();
}

}  // namespace ckp::libtorch
