// A small training with a loop, and a folder for its store.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ckp/libtorch/training_loop.h"
#include "ckp/query.h"
#include "small_net.h"

namespace ckp::test {

using libtorch::LoopOptions;
using libtorch::Resume;
using libtorch::TrainingLoop;
using libtorch::TrainingState;

struct Samples {
  at::Tensor data, target;
};

inline Samples make_samples(std::int64_t count) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(11);
  at::Tensor data = at::randn({count, 5}, generator, at::TensorOptions(at::kFloat));
  return {data, data.slice(1, 0, 3).clone()};
}

// A model with dropout, so that random numbers count, trained on 24 samples in batches of 4: six
// batches to an epoch.
struct Training {
  explicit Training(std::filesystem::path store_path, LoopOptions loop_options = {})
      : store(std::move(store_path)), options(std::move(loop_options)) {
    at::set_num_threads(1);
    torch::manual_seed(3);
    net = SmallNet();
    adam = std::make_unique<torch::optim::AdamW>(net->parameters(), 1e-2);
    steps = std::make_unique<torch::optim::StepLR>(*adam, 1, 0.5);
    state.model("model", net)
        .optimizer("optimizer", *adam)
        .scheduler("scheduler", *steps)
        .part("sampler", sampler)
        .random_state("random");
    options.say = [this](const std::string& line) { said += line + "\n"; };
    options.on_saved = [this](const SaveReport& report) {
      saved.push_back(report.checkpoint.step);
    };
  }

  double step(libtorch::Batch& batch) {
    net->train();
    torch::Tensor hidden = torch::dropout(batch.data, 0.2, /*train=*/true);
    torch::Tensor loss =
        torch::mse_loss(net(hidden), batch.target) / static_cast<double>(options.accumulate);
    loss.backward();
    if (!batch.last_of_step()) return 0;
    adam->step();
    adam->zero_grad();
    return loss.item<double>();
  }

  // `in_step`, `in_epoch`: called at the end of the bodies.
  void train(TrainingLoop& loop, std::int64_t epochs,
             const std::function<void(TrainingLoop&)>& in_step = {},
             const std::function<double(std::int64_t)>& validate = {}) {
    for (auto& epoch : loop.epochs(epochs)) {
      for (auto& batch : epoch.batches(samples, sampler)) {
        const double loss = step(batch);
        if (!batch.last_of_step()) continue;
        if (in_step) in_step(loop);
        loop.step({{"train/loss", loss}});
      }
      steps->step();
      if (validate) epoch.end({{"val/loss", validate(epoch.number())}});
    }
  }

  std::filesystem::path store;
  LoopOptions options;
  Samples samples = make_samples(24);
  libtorch::Sampler sampler{24, 4, 5};
  SmallNet net{nullptr};
  std::unique_ptr<torch::optim::AdamW> adam;
  std::unique_ptr<torch::optim::StepLR> steps;
  TrainingState state;
  std::string said;
  std::vector<std::int64_t> saved;
};

class Loop : public ::testing::Test {
 protected:
  std::vector<CheckpointRecord> line(const std::string& run = "run") {
    Store store = Store::open(path_);
    const RunRecord record = store.run(run);
    return current_line(record, store.checkpoints(record.id));
  }
  RunStatus status(const std::string& run = "run") { return Store::open(path_).run(run).status; }

  // The weights after three epochs without interruption.
  std::string uninterrupted() {
    Training training(folder_ / "other");
    TrainingLoop loop(training.store, "run", training.state, training.options);
    training.train(loop, 3);
    return digest(training.net);
  }

  TemporaryDirectory folder_;
  std::filesystem::path path_ = folder_ / "store";
};

}  // namespace ckp::test
