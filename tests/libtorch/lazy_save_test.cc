// Lazy saves of a loop: what they copy when, who waits for them, and who does not.
#include <thread>

#include "ckp/libtorch/ema.h"
#include "ckp/libtorch/grad_scaler.h"
#include "ckp/state_digest.h"
#include "small_training.h"
#include "support/held_clock.h"

namespace ckp::test {
namespace {

// With averages, which change after each step, too.
struct LazyTraining : Training {
  explicit LazyTraining(std::filesystem::path store_path) : Training(std::move(store_path)) {
    state.part("ema", ema);
    options.lazy_saves = true;
    options.save_every_epochs = 0;
  }
  double backward(libtorch::Batch& batch) {
    net->train();
    torch::Tensor hidden = torch::dropout(batch.data, 0.2, /*train=*/true);
    torch::Tensor loss = torch::mse_loss(net(hidden), batch.target);
    loss.backward();
    return loss.item<double>();
  }
  void optimize() {
    adam->step();
    adam->zero_grad();
    ema.update();
  }
  // Calls these in each body: before the guard, and after the optimizer's step.
  using Action = std::function<void(TrainingLoop&, std::int64_t step)>;
  void run(TrainingLoop& loop, std::int64_t epochs, const Action& before = {},
           const Action& after = {}) {
    for (auto& epoch : loop.epochs(epochs)) {
      for (auto& batch : epoch.batches(samples, sampler)) {
        const double loss = backward(batch);
        const std::int64_t number = loop.progress().step + 1;
        if (before) before(loop, number);
        loop.before_step();
        optimize();
        if (after) after(loop, number);
        loop.step({{"train/loss", loss}});
      }
      steps->step();
      auto shadow = ema.weights();
      epoch.end({{"val/loss", 1}});
    }
  }

  libtorch::Ema ema{net, 0.9};
};

class LazyLoop : public Loop {
 protected:
  Store held_store() {
    StoreOptions options;
    options.clock = clock_;
    return Store::open_or_create(path_, options);
  }
  Checkpoint saved_at(std::int64_t step, const std::filesystem::path& store) {
    Store opened = Store::open(store);
    return opened.open_checkpoint(opened.find(parse_address("run@step:" + std::to_string(step))));
  }
  static void expect_same(const Checkpoint& checkpoint, const Checkpoint& expected) {
    for (const char* part : {"model", "optimizer", "ema", "random"}) {
      EXPECT_EQ(state_digest(checkpoint, part).total, state_digest(expected, part).total) << part;
    }
  }

  std::shared_ptr<HeldClock> clock_ = std::make_shared<HeldClock>();
};

TEST_F(LazyLoop, EachCheckpointIsThatOfALoopThatIsNotLazy) {
  for (const bool lazy : {false, true}) {
    LazyTraining training(folder_ / (lazy ? "lazy" : "plain"));
    training.options.lazy_saves = training.options.check_lazy_saves = lazy;
    training.options.save_every_steps = training.options.save_every_epochs = 1;
    TrainingLoop loop(training.store, "run", training.state, training.options);
    loop.check_resume(2);
    training.run(loop, 3);
    EXPECT_EQ(training.said, "resume proven over 2 steps\n");
  }
  for (std::int64_t step = 3; step <= 18; ++step) {
    const Checkpoint lazy = saved_at(step, folder_ / "lazy");
    const Checkpoint plain = saved_at(step, folder_ / "plain");
    EXPECT_EQ(state_digest(lazy).total, state_digest(plain).total) << step;
    for (const char* part : {"optimizer", "ema", "scheduler", "sampler", "best"}) {
      EXPECT_EQ(*find_value(lazy.values(), part), *find_value(plain.values(), part)) << part;
    }
  }
}

// A forward pass after the save has begun writes into BatchNorm's buffers and draws for dropout.
TEST_F(LazyLoop, WhatAForwardPassChangesIsThatOfTheMomentOfTheSave) {
  LazyTraining training(path_);
  training.options.save_every_steps = 2;
  const auto expected = folder_ / "expected.ckp";
  const at::Tensor mean = training.net->norm->running_mean;
  at::Tensor mean_saved;
  TrainingLoop loop(held_store(), "run", training.state, training.options);
  training.run(
      loop, 1,
      [&](TrainingLoop&, std::int64_t step) {
        if (step != 3) return;
        EXPECT_FALSE(at::equal(mean, mean_saved)) << "this test proves nothing";
        clock_->let_go();
      },
      [&](TrainingLoop&, std::int64_t step) {
        if (step != 2) return;
        libtorch::save_file(expected, training.state);
        mean_saved = mean.clone();
        clock_->hold();
      });
  expect_same(saved_at(2, path_), open_file(expected));
}

TEST_F(LazyLoop, TheStepWaitsForTheCopy) {
  LazyTraining training(path_);
  training.options.save_every_steps = 2;
  const auto expected = folder_ / "expected.ckp";
  std::thread release;
  TrainingLoop loop(held_store(), "run", training.state, training.options);
  training.run(
      loop, 1,
      [&](TrainingLoop&, std::int64_t step) {
        if (step == 3) release = std::thread([&] { clock_->let_go(); });
      },
      [&](TrainingLoop&, std::int64_t step) {
        if (step != 2) return;
        libtorch::save_file(expected, training.state);
        clock_->hold();
      });
  release.join();
  expect_same(saved_at(2, path_), open_file(expected));
}

TEST_F(LazyLoop, ChangesDuringTheCopyAreFoundOutWhenAskedFor) {
  LazyTraining training(path_);
  training.options.save_every_steps = 2;
  training.options.check_lazy_saves = true;
  TrainingLoop loop(held_store(), "run", training.state, training.options);
  training.run(
      loop, 1,
      [&](TrainingLoop&, std::int64_t step) {
        if (step != 3) return;
        torch::NoGradGuard no_grad;
        training.net->fc1->bias.add_(1);
        clock_->let_go();
      },
      [&](TrainingLoop&, std::int64_t step) {
        if (step == 2) clock_->hold();
      });
  EXPECT_TRUE(contains(training.said,
                       "the save of step 2 has failed (1 in a row): lazy save: 1 tensor changed "
                       "while the state was copied: model/fc1.bias; nothing was saved"));
  EXPECT_EQ(training.saved, (std::vector<std::int64_t>{4, 6}));
}

TEST_F(LazyLoop, AStepWithoutTheGuardAfterALazySaveIsAnError) {
  LazyTraining training(path_);
  training.options.save_every_steps = 2;
  training.options.save_on_exception = false;
  TrainingLoop loop(path_, "run", training.state, training.options);
  const std::string message = error_of(ErrorCode::invalid_argument, [&] {
    for (auto& epoch : loop.epochs(1)) {
      for (auto& batch : epoch.batches(training.samples, training.sampler)) {
        training.backward(batch);
        if (loop.progress().step != 4) loop.before_step();
        training.optimize();
        loop.step();
      }
    }
  });
  EXPECT_TRUE(contains(message,
                       "step 5 changed the state while a lazy save was copying that of step 4; its "
                       "checkpoint has been removed; call loop.before_step()"));
  ASSERT_EQ(line().size(), 1u);
  EXPECT_EQ(line()[0].step, 2);
}

TEST_F(LazyLoop, WithoutAnyGuardItIsNotLazyAndSaysSoOnce) {
  LazyTraining training(path_);
  training.options.save_every_steps = 2;
  TrainingLoop loop(path_, "run", training.state, training.options);
  training.train(loop, 1);
  EXPECT_EQ(training.saved, (std::vector<std::int64_t>{2, 4, 6}));
  const std::string told = "lazy_saves: this step had no loop.before_step()";
  EXPECT_TRUE(contains(training.said, told));
  EXPECT_EQ(training.said.find(told), training.said.rfind(told));
}

TEST(SaveGuard, AveragesAskBeforeTheyChangeAnything) {
  SmallNet net;
  libtorch::Ema ema(net, 0.9);
  ema.update();
  torch::NoGradGuard no_grad;
  net->fc1->weight.add_(1);
  int asked = 0;
  std::string expected;
  auto saved = [&] {
    TemporaryDirectory folder;
    libtorch::save_file(folder / "a.ckp", TrainingState().model("m", net).part("e", ema));
    return state_digest(open_file(folder / "a.ckp")).total.hex() + digest(net);
  };
  ema.guard_saves({[] { ADD_FAILURE() << "no optimizer"; },
                   [&] {
                     ++asked;
                     EXPECT_EQ(saved(), expected);
                   }});
  expected = saved();
  ema.update();
  expected = saved();
  {
    auto shadow = ema.weights();
    expected = saved();
  }
  EXPECT_EQ(asked, 3);
}

TEST(SaveGuard, TheScalersStepIsOne) {
  for (const bool enabled : {true, false}) {
    SmallNet net;
    torch::optim::SGD sgd(net->parameters(), 0.1);
    libtorch::GradScaler scaler({.enabled = enabled});
    const std::string before = digest(net);
    int asked = 0;
    scaler.guard_saves({[&] {
                          ++asked;
                          EXPECT_EQ(libtorch::weights_digest(*net).hex(), before);
                        },
                        [] {}});
    net->eval();
    scaler.scale(net(torch::ones({2, 5})).sum()).backward();
    scaler.step(sgd);
    EXPECT_EQ(asked, 1);
    EXPECT_NE(digest(net), before);
  }
}

TEST_F(LazyLoop, PartsOutliveIt) {
  LazyTraining training(path_);
  {
    TrainingLoop loop(path_, "run", training.state, training.options);
    training.run(loop, 1);
  }
  training.ema.update();
  EXPECT_EQ(training.ema.updates(), 7);
}

// What shares a storage with a buffer is copied with it, and still shares it in the checkpoint.
struct Sharing : torch::nn::Module {
  Sharing() {
    weight = register_parameter("weight", torch::ones({4}));
    row = register_buffer("row", weight.detach().slice(0, 1, 3));
  }
  torch::Tensor weight, row;
};

TEST_F(LazyLoop, ABufferWithinAParameterStaysThere) {
  Sharing module;
  auto state = TrainingState().model("model", module);
  const StateDict lazy = state.state_dict(SnapshotMode::lazy), plain = state.state_dict();
  const auto& weight = lazy.tensors().at("model/weight");
  EXPECT_EQ(weight.storage, lazy.tensors().at("model/row").storage);
  EXPECT_NE(weight.storage, plain.tensors().at("model/weight").storage);
  module.row.zero_();
  EXPECT_EQ(static_cast<const float*>(weight.storage)[1], 1);
}

}  // namespace
}  // namespace ckp::test
