#include "experiment.h"

#include <torch/nn/functional/loss.h>
#include <torch/utils.h>

#include <algorithm>

#include "ckp/libtorch/digest.h"
#include "ckp/libtorch/update_bn.h"

namespace example {
namespace {

namespace functional = torch::nn::functional;
constexpr std::int64_t kBatch = 250;  // without gradients

Net seeded_net(std::int64_t seed) {
  torch::manual_seed(static_cast<std::uint64_t>(seed));
  return Net();
}

}  // namespace

Experiment::Experiment(const Options& options)
    : training(load_fashion_mnist(options.data, true, options.train_size)),
      validation(load_fashion_mnist(options.data, false,
                                    std::max<std::int64_t>(2, options.train_size / 6))),
      model(seeded_net(options.seed)),
      optimizer(model->parameters(), torch::optim::AdamWOptions(options.lr)),
      scheduler(optimizer, /*step_size=*/2, /*gamma=*/0.5),
      sampler(training.size(), options.batch_size, static_cast<std::uint64_t>(options.seed)),
      accumulate_(options.accumulate) {
  // Everything that the next step depends on. Leave one out, and a resumed run goes astray.
  state.model("model", model)
      .optimizer("optimizer", optimizer)
      .scheduler("scheduler", scheduler)
      .part("sampler", sampler)
      .random_state("random");  // dropout
  if (options.swa == 0) return;
  swa.emplace(model, ckp::libtorch::SwaOptions{.begin = options.swa - 1});
  swa_lr.emplace(optimizer, options.lr / 2, /*anneal_epochs=*/2);
  state.part("swa", *swa).part("swa_lr", *swa_lr);
}

double Experiment::backward(const ckp::libtorch::Batch& batch) {
  model->train();
  torch::Tensor loss =
      functional::cross_entropy(model(batch.data), batch.target) / static_cast<double>(accumulate_);
  loss.backward();
  return loss.item<double>();
}

void Experiment::optimizer_step() {
  optimizer.step();
  optimizer.zero_grad();
}

void Experiment::end_epoch() {
  if (swa) swa->update();
  if (swa && swa->begun()) {
    swa_lr->step();
  } else {
    scheduler.step();
  }
}

Validation Experiment::validate() {
  if (!swa || !swa->begun()) return validate_weights();
  const auto shadow = swa->weights();  // until the end of this function
  ckp::libtorch::update_bn(model, [&] {
    for (const torch::Tensor& images : training.data.split(kBatch)) model(images);
  });
  return validate_weights();
}

Validation Experiment::validate_weights() {
  torch::NoGradGuard no_grad;
  model->eval();
  double loss = 0;
  std::int64_t right = 0;
  for (std::int64_t begin = 0; begin < validation.size(); begin += kBatch) {
    const std::int64_t end = std::min(begin + kBatch, validation.size());
    torch::Tensor labels = validation.target.slice(0, begin, end);
    torch::Tensor scores = model(validation.data.slice(0, begin, end));
    loss += functional::cross_entropy(scores, labels,
                                      functional::CrossEntropyFuncOptions().reduction(torch::kSum))
                .item<double>();
    right += scores.argmax(1).eq(labels).sum().item<std::int64_t>();
  }
  const auto count = static_cast<double>(validation.size());
  return {loss / count, static_cast<double>(right) / count};
}

std::string Experiment::weights_digest() const {
  return ckp::libtorch::weights_digest(*model).hex();
}

}  // namespace example
