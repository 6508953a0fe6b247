// Where a loop goes on from, and what it says about it.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sstream>

#include "ckp/error.h"
#include "small_training.h"

namespace ckp::test {
namespace {

TEST_F(Loop, GoesBackToAnEarlierCheckpoint) {
  {
    Training training(path_);
    training.options.save_every_steps = 2;
    TrainingLoop loop(path_, "run", training.state, training.options);
    training.train(loop, 3);
  }
  Training training(path_);
  TrainingLoop loop(path_, "run", training.state, training.options);
  EXPECT_TRUE(contains(error_of(ErrorCode::invalid_argument,
                                [&] { loop.resume(Resume::required, {.from = "other@step:8"}); }),
                       "no checkpoint of run run"));
  EXPECT_EQ(loop.resume(Resume::required, {.from = "step:8"}).from->step, 8);
  training.train(loop, 3);
  EXPECT_EQ(digest(training.net), uninterrupted());
  std::vector<std::int64_t> steps;
  for (const auto& checkpoint : line()) steps.push_back(checkpoint.step);
  EXPECT_EQ(steps, (std::vector<std::int64_t>{2, 4, 6, 8, 12, 18}));  // 10 and others: superseded
}

TEST_F(Loop, GoesBackToWhatAnAliasPointsAt) {
  for (const char* run : {"run", "other"}) {
    Training training(path_);
    TrainingLoop loop(path_, run, training.state, training.options);
    training.train(loop, 2);
    loop.store().promote(loop.store().find(parse_address(std::string(run) + "@1")),
                         std::string(run) + "-first");
  }
  Training training(path_);
  TrainingLoop loop(path_, "run", training.state, training.options);
  auto refused = [&](ErrorCode code, const std::string& from) {
    return error_of(code, [&] { loop.resume(Resume::if_present, {.from = from}); });
  };
  const std::string others = refused(ErrorCode::invalid_argument, "@other-first");
  const std::string full = Store::open(path_).find(parse_address("other@1")).id.hex();
  const std::string id = full.substr(0, 8);
  EXPECT_TRUE(contains(
      others, "resume from @other-first: that is other@" + id + ", no checkpoint of run run"));
  EXPECT_TRUE(contains(others, "start_from"));
  EXPECT_TRUE(contains(refused(ErrorCode::invalid_argument, "@" + full), "no checkpoint of run"));
  EXPECT_TRUE(contains(refused(ErrorCode::not_found, "@nobody"), "nobody"));
  EXPECT_EQ(loop.resume(Resume::exact, {.from = "@run-first"}).from->step, 6);
  training.train(loop, 3);
  EXPECT_EQ(digest(training.net), uninterrupted());
}

TEST_F(Loop, IsCompleteAfterSoManyStepsAndGoesOnWhenThereAreMore) {
  for (const std::int64_t steps : {8, 8, 12, 15}) {  // six to an epoch
    Training training(path_);
    training.options.max_steps = steps;
    TrainingLoop loop(path_, "run", training.state, training.options);
    const bool done = loop.resume().from.has_value() && loop.progress().step == steps;
    training.train(loop, 3);
    EXPECT_EQ(loop.progress().step, steps);
    EXPECT_EQ(loop.stopped(), done || steps % 6 == 0 ? "" : "max_steps");
    EXPECT_EQ(loop.exit_status(), 0);
    EXPECT_EQ(status(), RunStatus::completed);
    EXPECT_TRUE(line().back().final);
    EXPECT_EQ(line().back().step, steps);
  }
  Training training(path_);
  TrainingLoop loop(path_, "run", training.state, training.options);
  loop.resume(Resume::exact);
  training.train(loop, 3);
  EXPECT_EQ(digest(training.net), uninterrupted());
}

TEST_F(Loop, AProofEndsWithTheLastStep) {
  Training training(path_);
  training.options.max_steps = 2;
  TrainingLoop loop(path_, "run", training.state, training.options);
  loop.check_resume(5);
  training.train(loop, 3);
  EXPECT_EQ(loop.resume_proof()->steps, 2);
  EXPECT_TRUE(loop.resume_proof()->proven);
  EXPECT_EQ(loop.progress().step, 2);
  EXPECT_EQ(status(), RunStatus::completed);
}

TEST_F(Loop, ResumeSaysWhatItNeeds) {
  Training training(path_);
  {
    TrainingLoop loop(path_, "run", training.state, training.options);
    EXPECT_TRUE(contains(error_of(ErrorCode::not_found, [&] { loop.resume(Resume::required); }),
                         "the store has no such run"));
    std::ostringstream text;
    text << loop.resume();
    EXPECT_EQ(text.str(), "started run\n");
    EXPECT_TRUE(contains(error_of(ErrorCode::invalid_argument, [&] { loop.resume(); }),
                         "the run is open already"));
  }
  {
    TrainingLoop loop(path_, "run", training.state, training.options);
    EXPECT_TRUE(contains(error_of(ErrorCode::not_found, [&] { loop.resume(Resume::exact); }),
                         "no checkpoint that can be resumed"));
  }
  TrainingLoop loop(path_, "run", training.state, training.options);
  EXPECT_TRUE(contains(error_of(ErrorCode::already_exists, [&] { loop.epochs(1).begin(); }),
                       "exists already"));
}

// Each step is logged when it ends: the one after the last logged is where the process died.
TEST_F(Loop, TellsInWhichStepTheAttemptBeforeDied) {
  const pid_t child = ::fork();
  if (child == 0) {
    Training training(path_);
    training.options.save_every_steps = 2;
    TrainingLoop loop(path_, "run", training.state, training.options);
    training.train(loop, 3, [](TrainingLoop& running) {
      if (running.progress().step == 9) ::raise(SIGKILL);
    });
    ::_exit(1);
  }
  int wait_status = 0;
  while (::waitpid(child, &wait_status, 0) < 0) {
  }
  ASSERT_TRUE(WIFSIGNALED(wait_status));
  {
    Training training(path_);
    TrainingLoop loop(path_, "run", training.state, training.options);
    const auto report = loop.resume(Resume::exact);
    EXPECT_EQ(report.died_in_step, 10);
    std::ostringstream text;
    text << report;
    EXPECT_TRUE(contains(text.str(), "\nthe attempt before died in step 10, which comes again\n"));
    training.train(loop, 3);
    EXPECT_EQ(digest(training.net), uninterrupted());
  }
  Training training(path_);
  TrainingLoop loop(path_, "run", training.state, training.options);
  EXPECT_EQ(loop.resume(Resume::required, {.from = "step:12"}).died_in_step, 0);
}

TEST_F(Loop, TellsThatTheCodeIsAnother) {
  auto options = [](const char* commit, bool dirty) {
    LoopOptions made;
    made.environment = {{"git_commit", commit}, {"git_dirty", dirty}};
    return made;
  };
  {
    Training training(path_, options("5d51832", true));
    TrainingLoop loop(path_, "run", training.state, training.options);
    training.train(loop, 1);
  }
  Training training(path_, options("ff0a4ca", false));
  TrainingLoop loop(path_, "run", training.state, training.options);
  std::ostringstream text;
  text << loop.resume(Resume::exact);  // whether it matters, people say
  EXPECT_TRUE(contains(text.str(),
                       "\n  git_commit: program ff0a4ca, checkpoint 5d51832-dirty, kept ff0a4ca"));
}

TEST_F(Loop, ParametersAreCompared) {
  Training first(path_), second(path_);
  first.options.parameters = {{"lr", 0.1}, {"seed", 1}};
  second.options.parameters = {{"lr", 0.2}, {"seed", 1}};
  {
    TrainingLoop loop(path_, "run", first.state, first.options);
    first.train(loop, 1);
  }
  TrainingLoop loop(path_, "run", second.state, second.options);
  std::ostringstream text;
  text << loop.resume();
  EXPECT_TRUE(contains(text.str(), "resumed run from step 6 (epoch 1, checkpoint "));
  EXPECT_TRUE(contains(text.str(), "\n  parameter/lr: program 0.2, checkpoint 0.1, kept 0.2\n"));
}

}  // namespace
}  // namespace ckp::test
