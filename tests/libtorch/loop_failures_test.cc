// Exceptions and failing saves: what is told, what is saved all the same, and when it is enough.
#include <algorithm>
#include <filesystem>

#include "ckp/error.h"
#include "ckp/metrics.h"
#include "small_training.h"

namespace ckp::test {
namespace {

TEST_F(Loop, AnExceptionLeavesAMidStepCheckpointThatNobodyResumes) {
  {
    Training training(path_);
    training.options.save_every_steps = 1;
    training.options.keep = {"last 1"};
    TrainingLoop loop(path_, "run", training.state, training.options);
    EXPECT_THROW(training.train(loop, 2,
                                [](TrainingLoop& running) {
                                  if (running.progress().step == 3) throw std::domain_error("x");
                                }),
                 std::domain_error);
    EXPECT_TRUE(contains(training.said, "mid_step after step 3"));
  }
  EXPECT_EQ(status(), RunStatus::failed);
  ASSERT_EQ(line().size(), 2u);
  EXPECT_TRUE(line()[1].mid_step());
  const std::string id = line()[1].id.hex();

  Training exact(path_);
  TrainingLoop refused(path_, "run", exact.state, exact.options);
  EXPECT_TRUE(contains(
      error_of(ErrorCode::mismatch, [&] { refused.resume(Resume::exact, {.from = "run@" + id}); }),
      "saved inside a training step"));
  EXPECT_EQ(Store::open(path_).run("run").attempts.size(), 1u);  // refused in time

  Training training(path_);
  TrainingLoop loop(path_, "run", training.state, training.options);
  const auto report = loop.resume(Resume::exact);
  EXPECT_EQ(report.from->step, 3);
  EXPECT_FALSE(report.from->mid_step());
  training.train(loop, 3);
  EXPECT_EQ(digest(training.net), uninterrupted());
}

TEST_F(Loop, AnExceptionIsNotHiddenByTheFailureOfItsSave) {
  Training training(path_);
  TrainingLoop loop(path_, "run", training.state, training.options);
  EXPECT_THROW(training.train(loop, 2,
                              [&](TrainingLoop&) {
                                std::filesystem::remove_all(path_);
                                throw std::domain_error("x");
                              }),
               std::domain_error);
  EXPECT_TRUE(contains(training.said, "the save of step 0 has failed"));
}

TEST_F(Loop, ThreeFailedSavesInARowEndTheTraining) {
  Training training(path_);
  training.options.save_every_steps = 1;
  training.options.on_saved = [&](const SaveReport& report) {
    // The journal's file stays open; new files cannot be made.
    if (report.checkpoint.step == 1) std::filesystem::remove_all(path_);
  };
  TrainingLoop loop(path_, "run", training.state, training.options);
  std::int64_t last = 0;
  EXPECT_THROW(
      training.train(loop, 2, [&](TrainingLoop& running) { last = running.progress().step; }),
      Error);
  EXPECT_GE(last, 4);  // saved: 1; failed: 2, 3, 4, the last known at the save of 5 at the latest
  EXPECT_LE(last, 5);
  for (const char* text : {"step 2 has failed (1 in a row)", "step 3 has failed (2 in a row)",
                           "step 4 has failed (3 in a row)"}) {
    EXPECT_TRUE(contains(training.said, text));
  }
}

// The disk is away for one save, and back when that has been told.
TEST_F(Loop, AFailedSaveMarksTheRunAndTheNextCheckpoint) {
  Training training(path_);
  training.options.save_every_steps = 2;
  training.options.save_every_epochs = 0;
  const auto runs = path_ / "runs", away = path_ / "away";
  training.options.on_saved = [&](const SaveReport& report) {
    if (report.checkpoint.step == 2) std::filesystem::rename(runs, away);
  };
  training.options.say = [&](const std::string& line) {
    training.said += line + "\n";
    if (std::filesystem::exists(away)) std::filesystem::rename(away, runs);
  };
  {
    TrainingLoop loop(path_, "run", training.state, training.options);
    training.train(loop, 2);
  }
  EXPECT_EQ(training.said.find("has failed (1 in a row)"), training.said.rfind("has failed ("));
  EXPECT_TRUE(contains(training.said, " has failed (1 in a row)"));
  const auto checkpoints = line();
  const auto marked = std::find_if(
      checkpoints.begin(), checkpoints.end(),
      [](const CheckpointRecord& one) { return one.tags.contains("after_failed_saves"); });
  ASSERT_NE(marked, checkpoints.end());
  EXPECT_EQ(marked->tags.at("after_failed_saves"), Value("1"));
  Store store = Store::open(path_);
  double failed = 0;
  for (const MetricPoint& point : store.metrics(store.run("run"), Superseded::included)) {
    const auto place = point.values.find("loop/failed_saves");
    if (place != point.values.end()) failed = place->second;
  }
  EXPECT_EQ(failed, 1);
}

}  // namespace
}  // namespace ckp::test
