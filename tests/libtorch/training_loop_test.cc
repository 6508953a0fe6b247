// The loop of a training: what it counts, saves, resumes and stops for.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "ckp/error.h"
#include "ckp/libtorch/stop_signals.h"
#include "small_training.h"
#include "support/variable.h"

namespace ckp::test {
namespace {

using namespace std::chrono_literals;

TEST_F(Loop, CountsLogsAndSavesAtTheEndOfEachEpoch) {
  Training training(path_);
  training.options.parameters = {{"lr", 1e-2}};
  {
    TrainingLoop loop(path_, "run", training.state, training.options);
    std::vector<std::int64_t> epochs;
    for (auto& epoch : loop.epochs(2)) {
      epochs.push_back(epoch.number());
      for (auto& batch : epoch.batches(training.samples, training.sampler)) {
        EXPECT_EQ(batch.size(), 4);
        EXPECT_TRUE(at::equal(batch.data, training.samples.data.index_select(0, batch.indices)));
        EXPECT_TRUE(batch.last_of_step());
        training.step(batch);
        loop.step({{"train/loss", static_cast<double>(loop.progress().step)}});
      }
      EXPECT_EQ(loop.mean("train/loss"), epoch.number() == 0 ? 2.5 : 8.5);
      epoch.end({{"val/loss", 7}});
    }
    EXPECT_EQ(epochs, (std::vector<std::int64_t>{0, 1}));
    EXPECT_EQ(loop.progress().step, 12);
    EXPECT_EQ(loop.progress().samples, 48);
    EXPECT_EQ(loop.stopped(), "");
    EXPECT_EQ(loop.exit_status(), 0);
  }
  const auto checkpoints = line();
  ASSERT_EQ(checkpoints.size(), 2u);
  EXPECT_EQ(checkpoints[0].epoch, 1);
  EXPECT_EQ(checkpoints[0].step, 6);
  EXPECT_EQ(checkpoints[0].metrics.at("train/loss"), 2.5);  // the epoch's mean
  EXPECT_EQ(checkpoints[0].metrics.at("val/loss"), 7);
  EXPECT_FALSE(checkpoints[0].final);
  EXPECT_TRUE(checkpoints[1].final);
  EXPECT_EQ(status(), RunStatus::completed);
  EXPECT_EQ(training.saved, (std::vector<std::int64_t>{6, 12}));
  EXPECT_EQ(Store::open(path_).run("run").parameters.at("lr"), Value(1e-2));
}

TEST_F(Loop, GoesOnBitForBitFromTheMiddleAndTheEndOfAnEpoch) {
  const std::string expected = uninterrupted();
  for (std::int64_t at : {2, 5, 6, 7, 12}) {
    const std::string run = "from-" + std::to_string(at);
    {
      Training first(path_);
      first.options.save_every_steps = 1;
      TrainingLoop loop(path_, run, first.state, first.options);
      std::int64_t left = at;
      for (auto& epoch : loop.epochs(3)) {
        bool enough = false;
        for (auto& batch : epoch.batches(first.samples, first.sampler)) {
          if (left-- == 0) {
            enough = true;  // in the body of the next step: it does not count
            break;
          }
          loop.step({{"train/loss", first.step(batch)}});
        }
        if (enough) break;
        first.steps->step();
      }
    }
    EXPECT_EQ(status(run), RunStatus::interrupted);
    Training second(path_);
    at::rand({17});  // the fresh process has other random numbers
    TrainingLoop loop(path_, run, second.state, second.options);
    const auto report = loop.resume(Resume::exact);
    ASSERT_TRUE(report.from);
    EXPECT_EQ(report.from->step, at);
    second.train(loop, 3);
    EXPECT_EQ(digest(second.net), expected) << at;
    EXPECT_EQ(loop.progress().samples, 72);
  }
}

TEST_F(Loop, AccumulatedBatchesAreOneStep) {
  Training training(path_);
  training.options.accumulate = 4;  // six batches to an epoch: steps of four and of two
  training.options.save_every_steps = 1;
  TrainingLoop loop(path_, "run", training.state, training.options);
  std::vector<bool> ends;
  for (auto& epoch : loop.epochs(1)) {
    for (auto& batch : epoch.batches(training.samples, training.sampler)) {
      ends.push_back(batch.last_of_step());
      training.step(batch);
      if (batch.last_of_step()) loop.step();
    }
  }
  EXPECT_EQ(ends, (std::vector<bool>{false, false, false, true, false, true}));
  EXPECT_EQ(loop.progress().step, 2);
  EXPECT_EQ(training.saved, (std::vector<std::int64_t>{1, 2}));
  Store store = Store::open(path_);
  const Checkpoint first = store.open_checkpoint(line()[0]);
  EXPECT_EQ(*find_value(first.values(), "progress/batch"), Value(4));
  EXPECT_EQ(*find_value(first.values(), "sampler/position"), Value(16));
}

TEST_F(Loop, ASaveThatIsAskedForInAnAccumulationWaitsForItsEnd) {
  Training training(path_);
  training.options.accumulate = 3;
  training.options.on_signal = libtorch::OnSignal::stop;
  TrainingLoop loop(path_, "run", training.state, training.options);
  std::int64_t batches = 0;
  for (auto& epoch : loop.epochs(2)) {
    for (auto& batch : epoch.batches(training.samples, training.sampler)) {
      if (++batches == 1) ::raise(SIGTERM);
      training.step(batch);
      if (batch.last_of_step()) loop.step();
    }
    epoch.end({{"val/loss", 1}});  // of a broken epoch: does nothing
  }
  EXPECT_EQ(batches, 3);
  EXPECT_EQ(loop.stopped(), "SIGTERM");
  EXPECT_EQ(loop.exit_status(), 128 + SIGTERM);
  ASSERT_EQ(line().size(), 1u);
  EXPECT_EQ(line()[0].step, 1);
  EXPECT_EQ(line()[0].epoch, 0);
  EXPECT_FALSE(line()[0].final);
  EXPECT_FALSE(line()[0].metrics.contains("val/loss"));
  EXPECT_TRUE(contains(training.said, "stopped by SIGTERM at step 1, which is saved"));
}

TEST_F(Loop, ASignalCanEndTheProcess) {
  const pid_t child = ::fork();
  if (child == 0) {
    Training training(path_);
    training.options.on_signal = libtorch::OnSignal::leave;
    training.options.notice = 30s;
    training.options.on_saved = [](const SaveReport&) {};
    TrainingLoop loop(path_, "run", training.state, training.options);
    training.train(loop, 2, [](TrainingLoop& running) {
      if (running.progress().step == 2) ::raise(SIGINT);
    });
    ::_exit(1);
  }
  int wait_status = 0;
  while (::waitpid(child, &wait_status, 0) < 0) {
  }
  ASSERT_TRUE(WIFEXITED(wait_status));
  EXPECT_EQ(WEXITSTATUS(wait_status), 128 + SIGINT);
  ASSERT_EQ(line().size(), 1u);
  EXPECT_EQ(line()[0].step, 3);
  EXPECT_EQ(status(), RunStatus::interrupted);
}

TEST_F(Loop, SavesBySteps) {
  Training training(path_);
  training.options.save_every_steps = 4;
  training.options.save_every_epochs = 0;
  TrainingLoop loop(path_, "run", training.state, training.options);
  training.train(loop, 2);
  // Step 12 is the end of an epoch, where the final save is.
  EXPECT_EQ(training.saved, (std::vector<std::int64_t>{4, 8, 12}));
}

TEST_F(Loop, SavesByTime) {
  Training training(path_);
  training.options.save_every = 1ns;
  training.options.save_every_epochs = 0;
  TrainingLoop loop(path_, "run", training.state, training.options);
  training.train(loop, 1);
  EXPECT_EQ(training.saved, (std::vector<std::int64_t>{1, 2, 3, 4, 5, 6}));
}

TEST_F(Loop, SavesAsOftenAsABudgetAllowsAndSaysSoOnce) {
  Training training(path_);
  training.options.max_overhead = 0.01;
  training.options.max_lost_work = 1ns;
  training.options.save_every_epochs = 0;
  TrainingLoop loop(path_, "run", training.state, training.options);
  training.train(loop, 1);
  EXPECT_EQ(training.saved, (std::vector<std::int64_t>{1, 2, 3, 4, 5, 6}));
  const std::size_t told =
      training.said.find("with a max_overhead of 1 % there is one every 1e-09");
  ASSERT_NE(told, std::string::npos) << training.said;
  EXPECT_TRUE(contains(training.said, "which is max_lost_work"));
  EXPECT_EQ(training.said.find("max_overhead", told + 20), std::string::npos);
}

TEST_F(Loop, SavesWhatIsBetterAndRestoresTheBest) {
  Training training(path_);
  training.options.best = {"val/loss", Better::lower, 0.5};
  training.options.save_every_epochs = 0;
  TrainingLoop loop(path_, "run", training.state, training.options);
  const std::vector<double> losses{9, 5, 4.9, 3, 8};
  std::map<std::int64_t, std::string> digests;
  training.train(loop, 5, {}, [&](std::int64_t epoch) {
    digests[epoch] = digest(training.net);
    return losses[static_cast<std::size_t>(epoch)];
  });
  EXPECT_EQ(training.saved, (std::vector<std::int64_t>{6, 12, 24, 30}));
  EXPECT_EQ(loop.best().value(), 3);
  const auto report = loop.restore_best();
  ASSERT_TRUE(report.checkpoint);
  EXPECT_EQ(report.checkpoint->epoch, 4);
  EXPECT_EQ(digest(training.net), digests.at(3));
  std::ostringstream text;
  text << report;
  EXPECT_TRUE(contains(text.str(), "best: val/loss 3 at step 24 (epoch 4, checkpoint "));
  EXPECT_TRUE(
      contains(text.str(), "\nrestored: model (9 tensors); missing: none; ignored: none\n"));
}

TEST_F(Loop, StopsEarlyAcrossAResume) {
  const std::vector<double> losses{5, 4, 6, 6, 6, 6, 6, 6};
  auto validate = [&](std::int64_t epoch) { return losses[static_cast<std::size_t>(epoch)]; };
  auto options = [](Training& training) -> LoopOptions& {
    training.options.best = {"val/loss"};
    training.options.stop_after_worse = 3;
    return training.options;
  };
  {
    Training training(path_);
    TrainingLoop loop(path_, "run", training.state, options(training));
    for (auto& epoch : loop.epochs(8)) {  // leaves in the fourth: two bad ones so far
      if (epoch.number() == 4) break;
      for (auto& batch : epoch.batches(training.samples, training.sampler)) {
        loop.step({{"train/loss", training.step(batch)}});
      }
      epoch.end({{"val/loss", validate(epoch.number())}});
    }
  }
  {
    Training training(path_);
    TrainingLoop loop(path_, "run", training.state, options(training));
    EXPECT_EQ(loop.resume().from->epoch, 4);
    training.train(loop, 8, {}, validate);
    EXPECT_EQ(loop.progress().epoch, 5);
    EXPECT_EQ(loop.stopped(), "early stopping");
    EXPECT_EQ(status(), RunStatus::completed);
    EXPECT_TRUE(line().back().final);
  }
  Training again(path_);
  TrainingLoop loop(path_, "run", again.state, options(again));
  loop.resume();
  again.train(loop, 8, {}, validate);
  EXPECT_EQ(loop.progress().epoch, 5);  // nothing is left
  EXPECT_TRUE(again.saved.empty());
}

TEST_F(Loop, PrunesByItsRules) {
  Training training(path_);
  training.options.best = {"val/loss"};
  training.options.keep = {"last 1", "best 1"};
  training.options.save_every_steps = 1;  // most between two values of the metric
  TrainingLoop loop(path_, "run", training.state, training.options);
  std::size_t most = 0;
  training.train(
      loop, 5,
      [&](const TrainingLoop& running) {  // nothing is pruned before the first validation
        if (running.progress().epoch > 1) most = std::max(most, line().size());
      },
      [](std::int64_t epoch) { return epoch == 1 ? 1. : 2.; });
  EXPECT_LE(most, 4u) << "those that are kept, and the last two saves";
  const auto kept = line();
  ASSERT_EQ(kept.size(), 2u);
  EXPECT_EQ(kept[0].epoch, 2);
  EXPECT_EQ(kept[1].epoch, 5);
  EXPECT_EQ(training.said, "");
}

TEST_F(Loop, GoesByTheStoresPolicyUnlessItHasRulesOfItsOwn) {
  Store store = Store::create(path_);
  store.set_policy({.last = 2});
  {
    Training training(path_);
    TrainingLoop loop(path_, "run", training.state, training.options);
    training.train(loop, 4);
    EXPECT_EQ(training.said, "");
  }
  EXPECT_EQ(line().size(), 2u);
  {
    Training training(path_);
    training.options.keep = {"daily 1", "last 5"};
    TrainingLoop loop(path_, "run", training.state, training.options);
    loop.resume();
    training.train(loop, 6);
    EXPECT_EQ(training.said.find("stay"), std::string::npos) << training.said;
  }
  EXPECT_EQ(line().size(), 4u);
  const StoreHold hold = store.hold();
  Training training(path_);
  TrainingLoop loop(path_, "run", training.state, training.options);
  loop.resume();
  training.train(loop, 9);
  EXPECT_TRUE(contains(training.said, "old checkpoints stay: ")) << training.said;
  EXPECT_EQ(line().size(), 7u);
}

TEST_F(Loop, StopsInTimeForASave) {
  Training training(path_);
  training.options.best = {"val/loss"};
  training.options.max_time = 1ms;  // less than what a first save is reckoned with
  TrainingLoop loop(path_, "run", training.state, training.options);
  training.train(loop, 2);
  EXPECT_EQ(loop.stopped(), "max_time");
  EXPECT_EQ(loop.exit_status(), 0);
  EXPECT_EQ(training.saved, std::vector<std::int64_t>{1});
  std::ostringstream text;
  text << loop.restore_best();
  EXPECT_EQ(text.str(), "best: not restored, because the run was stopped by max_time\n");
}

TEST_F(Loop, NaNIsToldOnceAndCanStop) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (auto what :
       {libtorch::OnNonfinite::warn, libtorch::OnNonfinite::stop, libtorch::OnNonfinite::ignore}) {
    const std::string run = "run-" + std::to_string(static_cast<int>(what));
    Training training(path_);
    training.options.on_nonfinite = what;
    training.options.save_every_steps = 1;
    TrainingLoop loop(path_, run, training.state, training.options);
    for (auto& epoch : loop.epochs(1)) {
      for (auto& batch : epoch.batches(training.samples, training.sampler)) {
        training.step(batch);
        loop.step({{"train/loss", loop.progress().step == 2 ? nan : 1}});
      }
    }
    const bool stops = what == libtorch::OnNonfinite::stop;
    EXPECT_EQ(loop.progress().step, stops ? 3 : 6);
    EXPECT_EQ(loop.exit_status(), stops ? 1 : 0);
    EXPECT_EQ(line(run).size(), stops ? 2u : 6u);
    EXPECT_EQ(status(run), stops ? RunStatus::failed : RunStatus::completed);
    EXPECT_EQ(training.said.find("step 3: train/loss is nan") == std::string::npos,
              what == libtorch::OnNonfinite::ignore);
  }
}

TEST_F(Loop, APoisonedCheckpointIsNotResumed) {
  {
    Training training(path_);
    training.options.save_every_steps = 1;
    TrainingLoop loop(path_, "run", training.state, training.options);
    training.train(loop, 1, [&](TrainingLoop& running) {
      torch::NoGradGuard no_grad;
      if (running.progress().step == 4) {
        training.net->fc1->weight.fill_(std::numeric_limits<float>::quiet_NaN());
      }
    });
    // Whichever is known first: the save that goes on in the background, or the next loss.
    EXPECT_TRUE(contains(training.said, "a checkpoint holds NaN or infinity") ||
                contains(training.said, "train/loss is nan"));
  }
  Training training(path_);
  TrainingLoop loop(path_, "run", training.state, training.options);
  EXPECT_EQ(loop.resume().from->step, 4);
}

TEST_F(Loop, ASamplerThatIsNoPartIsWarnedAbout) {
  Training training(path_);
  libtorch::Sampler other(24, 4, 5);
  TrainingLoop loop(path_, "run", training.state, training.options);
  for (auto& epoch : loop.epochs(1)) {
    for (auto& batch : epoch.batches(training.samples, other)) loop.step({{"n", batch.size()}});
  }
  EXPECT_TRUE(contains(training.said, "the sampler is no part of the state"));
}

TEST_F(Loop, TakesADatasetOfLibTorch) {
  struct Data : torch::data::datasets::Dataset<Data> {
    torch::data::Example<> get(std::size_t index) override {
      return {torch::full({2}, static_cast<double>(index)), torch::tensor(1)};
    }
    decltype(std::declval<const torch::data::datasets::MNIST&>().size()) size() const override {
      return 8;
    }
  } data;
  libtorch::Sampler sampler(8, 4, 1);
  TrainingLoop loop(path_, "run", TrainingState().part("sampler", sampler));
  for (auto& epoch : loop.epochs(1)) {
    for (auto& batch : epoch.batches(data, sampler)) {
      EXPECT_EQ(batch.data.sizes(), (std::vector<std::int64_t>{4, 2}));
      EXPECT_TRUE(at::equal(batch.data.select(1, 0), batch.indices.to(torch::kFloat)));
      EXPECT_EQ(batch.target.sizes(), std::vector<std::int64_t>{4});
      loop.step();
    }
  }
  EXPECT_EQ(loop.progress().step, 2);
}

TEST_F(Loop, OptionsThatMakeNoSenseAreRefused) {
  TrainingState state;
  auto refuse = [&](const LoopOptions& options) {
    return error_of(ErrorCode::invalid_argument,
                    [&] { TrainingLoop(path_, "run", state, options); });
  };
  EXPECT_TRUE(contains(refuse({.accumulate = 0}), "accumulate 0"));
  EXPECT_TRUE(contains(refuse({.stop_after_worse = 2}), "needs a best metric"));
  EXPECT_TRUE(contains(refuse({.keep = {"some"}}), "keep \"some\""));
  EXPECT_TRUE(contains(refuse({.keep = {"best 2"}}), "the loop has no best metric"));
  EXPECT_TRUE(contains(refuse({.save_every_steps = -1}), "every -1 steps"));
  TrainingLoop loop(path_, "run", state);
  EXPECT_TRUE(
      contains(error_of(ErrorCode::invalid_argument, [&] { loop.check_resume(0); }), "at least 1"));
  EXPECT_TRUE(contains(error_of(ErrorCode::invalid_argument, [&] { loop.restore_best(); }),
                       "no best metric"));
}

TEST_F(Loop, TheEnvironmentIsRecordedWithEachAttempt) {
  {
    Training first(path_);
    first.options.parameters = {{"lr", 0.01}};
    first.options.environment = {{"user", "ada"}, {"threads", "mine"}};
    first.options.data = {.name = "made up", .version = "1"};
    TrainingLoop loop(first.store, "run", first.state, first.options);
    first.train(loop, 1);
  }
  {
    Training second(path_);
    second.options.parameters = {{"lr", 0.02}};
    second.options.devices = 3;
    TrainingLoop loop(second.store, "run", second.state, second.options);
    loop.resume(Resume::required);
    second.train(loop, 2);
  }
  {
    Training third(path_);
    third.options.capture = false;
    third.options.environment = {{"only", "this"}};
    TrainingLoop loop(third.store, "run", third.state, third.options);
    loop.resume(Resume::required);
  }
  const RunRecord run = Store::open(path_).run("run");
  EXPECT_EQ(run.environment.at("user"), Value("ada"));
  EXPECT_EQ(run.environment.at("threads"), Value("mine"));
  EXPECT_EQ(run.environment.at("devices"), Value(Value::List{"cpu"}));
  for (const char* key : {"libtorch", "library", "host", "command_line"}) {
    EXPECT_TRUE(run.environment.contains(key)) << key;
  }
  EXPECT_EQ(run.attempts.at(0).devices, 1);
  EXPECT_EQ(run.data.at("version"), Value("1"));
  EXPECT_EQ(run.environment_in(2).at("threads"), Value(1));
  EXPECT_EQ(run.parameters_in(2).at("lr"), Value(0.02));
  EXPECT_EQ(run.attempts.at(1).devices, 3);
  EXPECT_EQ(run.environment_in(3), (Value::Map{{"only", "this"}}));
}

TEST_F(Loop, TheSourceMayBeElsewhere) {
  const std::string tree = (folder_ / "source").string();
  Variable home("HOME", folder_.path().string()), no_system("GIT_CONFIG_NOSYSTEM", "1");
  Variable no_git_dir("GIT_DIR", std::nullopt);
  ASSERT_EQ(std::system(("git init -q --initial-branch=trunk '" + tree + "' && cd '" + tree +
                         "' && echo 1 > a && git add a && git -c user.name=t -c user.email=t@t "
                         "commit -q -m first && echo 2 > a && git rev-parse HEAD > commit")
                            .c_str()),
            0);
  Training training(path_);
  training.options.capture_options.source = tree;
  {
    TrainingLoop loop(path_, "run", training.state, training.options);
    training.train(loop, 1);
  }
  TrainingLoop loop(path_, "run", training.state, training.options);
  loop.resume(Resume::required);
  std::string commit;
  std::ifstream(tree + "/commit") >> commit;
  ASSERT_EQ(commit.size(), 40u);
  Store store = Store::open(path_);
  const RunRecord run = store.run("run");
  for (const std::uint32_t attempt : {1u, 2u}) {
    EXPECT_EQ(run.environment_in(attempt).at("git_commit"), Value(commit));
    EXPECT_TRUE(contains(store.source_diff(run, attempt).value_or(""), "+2"));
  }
}

}  // namespace
}  // namespace ckp::test
