#include "experiment.h"

#include <torch/nn/functional/loss.h>
#include <torch/utils.h>

#include <algorithm>

#include "ckp/libtorch/digest.h"

namespace example {
namespace {

namespace functional = torch::nn::functional;
constexpr const char* kTrainLoss = "train/loss";

Net seeded_net(std::int64_t seed) {
  torch::manual_seed(static_cast<std::uint64_t>(seed));
  return Net();
}

}  // namespace

Experiment::Experiment(const Options& options)
    : training_(load_fashion_mnist(options.data, true, options.train_size)),
      validation_(load_fashion_mnist(options.data, false,
                                     std::max<std::int64_t>(2, options.train_size / 6))),
      model_(seeded_net(options.seed)),
      optimizer_(model_->parameters(), torch::optim::AdamWOptions(options.lr)),
      scheduler_(optimizer_, /*step_size=*/2, /*gamma=*/0.5),
      sampler_(training_.size(), options.batch_size, static_cast<std::uint64_t>(options.seed)) {
  // Everything that the next step depends on. Leave one out, and a resumed run goes astray.
  state_.model("model", model_)
      .optimizer("optimizer", optimizer_)
      .scheduler("scheduler", scheduler_)
      .part("sampler", sampler_)
      .progress("progress", progress_)
      .random_state("random");  // dropout
}

bool Experiment::train_step() {
  std::optional<at::Tensor> batch = sampler_.next();
  if (!batch) return false;
  const std::int64_t size = batch->size(0);
  model_->train();
  optimizer_.zero_grad();
  torch::Tensor scores = model_(training_.images.index_select(0, *batch));
  torch::Tensor loss = functional::cross_entropy(scores, training_.labels.index_select(0, *batch));
  loss.backward();
  optimizer_.step();
  progress_.count_step(size);
  progress_.means[kTrainLoss].add(loss.item<double>() * static_cast<double>(size), size);
  return true;
}

EpochResult Experiment::end_epoch() {
  scheduler_.step();
  EpochResult result;
  result.train_loss = train_loss();
  validate(result);
  progress_.end_epoch();
  result.epoch = progress_.epoch;
  result.step = progress_.step;
  result.weights_digest = weights_digest();
  return result;
}

void Experiment::validate(EpochResult& result) {
  torch::NoGradGuard no_grad;
  model_->eval();
  constexpr std::int64_t kBatch = 250;
  double loss = 0;
  std::int64_t right = 0;
  for (std::int64_t begin = 0; begin < validation_.size(); begin += kBatch) {
    const std::int64_t end = std::min(begin + kBatch, validation_.size());
    torch::Tensor labels = validation_.labels.slice(0, begin, end);
    torch::Tensor scores = model_(validation_.images.slice(0, begin, end));
    loss += functional::cross_entropy(scores, labels,
                                      functional::CrossEntropyFuncOptions().reduction(torch::kSum))
                .item<double>();
    right += scores.argmax(1).eq(labels).sum().item<std::int64_t>();
  }
  const auto count = static_cast<double>(validation_.size());
  result.val_loss = loss / count;
  result.val_accuracy = static_cast<double>(right) / count;
}

double Experiment::train_loss() const {
  auto place = progress_.means.find(kTrainLoss);
  return place == progress_.means.end() ? 0 : place->second.value();
}

double Experiment::learning_rate() const { return optimizer_.param_groups()[0].options().get_lr(); }

std::string Experiment::weights_digest() const {
  return ckp::libtorch::weights_digest(*model_).hex();
}

}  // namespace example
