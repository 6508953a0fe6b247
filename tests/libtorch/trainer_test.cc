// The example trainer's command line.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "ckp/store.h"
#include "support/temporary_directory.h"
#include "trainer_process.h"

namespace ckp::test {
namespace {

using Words = std::vector<std::string>;

class Trainer : public ::testing::Test {
 protected:
  struct Result {
    int code = 0;
    Words lines;
    std::string errors;
    nlohmann::json final() const {
      return lines.empty() ? nlohmann::json() : nlohmann::json::parse(lines.back()).at("final");
    }
  };

  // Two epochs of five steps.
  Result run(Words more) {
    Words words{"--store", store_.string(), "--train-size", "160", "--batch-size", "32"};
    words.insert(words.end(), more.begin(), more.end());
    TrainerProcess process(words);
    Result result;
    result.code = process.wait();
    result.lines = process.lines();
    result.errors = process.errors();
    return result;
  }

  TemporaryDirectory folder_;
  std::filesystem::path store_ = folder_ / "store";
};

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_F(Trainer, JsonHasALineForEachEpochAndAFinalOne) {
  Result result = run({"--run", "cnn", "--epochs", "2", "--json"});
  ASSERT_EQ(result.code, 0) << result.errors;
  ASSERT_EQ(result.lines.size(), 3u);
  for (int epoch = 1; epoch <= 2; ++epoch) {
    auto line = nlohmann::json::parse(result.lines[static_cast<std::size_t>(epoch - 1)]);
    EXPECT_EQ(line.at("epoch"), epoch);
    EXPECT_EQ(line.at("step"), 5 * epoch);
    EXPECT_GT(line.at("train_loss").get<double>(), 0);
    EXPECT_GT(line.at("val_loss").get<double>(), 0);
    EXPECT_GE(line.at("val_accuracy").get<double>(), 0);
    EXPECT_EQ(line.at("weights_digest").get<std::string>().size(), 32u);
  }
  EXPECT_EQ(result.final(), nlohmann::json::parse(result.lines[1]));
}

TEST_F(Trainer, TheRunIsRecordedWithItsMetrics) {
  ASSERT_EQ(run({"--run", "cnn", "--epochs", "2", "--save-every", "2"}).code, 0);
  Store store = Store::open(store_);
  RunRecord record = store.run("cnn");
  EXPECT_EQ(record.status, RunStatus::completed);
  EXPECT_EQ(record.best_metric, "val/loss");
  EXPECT_EQ(record.directions.at("val/accuracy"), Better::higher);
  EXPECT_EQ(record.parameters.at("train_size"), Value(160));
  auto checkpoints = store.checkpoints(record.id);
  std::vector<std::int64_t> steps;
  for (const auto& checkpoint : checkpoints) steps.push_back(checkpoint.step);
  EXPECT_EQ(steps, (std::vector<std::int64_t>{2, 4, 5, 6, 8, 10}));
  EXPECT_EQ(checkpoints[1].epoch, 0);
  EXPECT_FALSE(checkpoints[1].metrics.contains("val/loss"));
  EXPECT_EQ(checkpoints[2].epoch, 1);
  EXPECT_TRUE(checkpoints[2].metrics.contains("val/loss"));
  EXPECT_FALSE(checkpoints[2].final);
  EXPECT_TRUE(checkpoints[5].final);
  EXPECT_TRUE(store.verify().clean());
}

TEST_F(Trainer, AnExistingRunIsAnErrorThatNamesThreeWaysOn) {
  ASSERT_EQ(run({"--epochs", "1"}).code, 0);
  const auto before = Store::open(store_).runs();
  Result again = run({"--epochs", "2"});
  EXPECT_EQ(again.code, 1);
  EXPECT_TRUE(has(again.errors, "error: ")) << again.errors;
  EXPECT_TRUE(has(again.errors, "--run NAME")) << again.errors;
  EXPECT_TRUE(has(again.errors, "--resume")) << again.errors;
  EXPECT_TRUE(has(again.errors, "--run auto")) << again.errors;
  EXPECT_EQ(Store::open(store_).runs(), before);

  ASSERT_EQ(run({"--epochs", "1", "--run", "auto"}).code, 0);
  EXPECT_EQ(Store::open(store_).run("fashion-mnist-2").status, RunStatus::completed);
}

TEST_F(Trainer, ResumeStartsWhereThereIsNothingAndEndsWhereNothingIsLeft) {
  Result first = run({"--epochs", "2", "--json", "--resume"});
  ASSERT_EQ(first.code, 0) << first.errors;
  Result again = run({"--epochs", "2", "--json", "--resume"});
  EXPECT_EQ(again.code, 0) << again.errors;
  ASSERT_EQ(again.lines.size(), 1u);
  EXPECT_EQ(again.final(), first.final());
  EXPECT_EQ(Store::open(store_).run("fashion-mnist").attempts.size(), 1u);
}

// The index lists it still; the epoch is trained again, to the same weights.
TEST_F(Trainer, ALostCheckpointOfAFinishedRunIsTrainedAnew) {
  const Words options{"--run", "cnn", "--epochs", "2", "--json", "--resume"};
  const Result whole = run(options);
  ASSERT_EQ(whole.code, 0) << whole.errors;
  const Store store = Store::open(store_);
  const RunRecord record = store.run("cnn");
  const std::string newest = store.checkpoints(record.id).back().id.hex();
  std::size_t removed = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(store_ / "runs" / record.directory)) {
    if (!has(entry.path().filename().string(), newest)) continue;
    removed += std::filesystem::remove(entry.path()) ? 1u : 0u;
  }
  ASSERT_EQ(removed, 1u);
  const Result again = run(options);
  ASSERT_EQ(again.code, 0) << again.errors;
  EXPECT_EQ(again.final().at("weights_digest"), whole.final().at("weights_digest"));
  EXPECT_TRUE(has(again.errors, newest)) << again.errors;
}

TEST_F(Trainer, MoreEpochsAfterResumeEqualThoseOfOneRun) {
  Result whole = run({"--run", "whole", "--epochs", "3", "--json"});
  ASSERT_EQ(run({"--run", "parts", "--epochs", "1"}).code, 0);
  Result parts = run({"--run", "parts", "--epochs", "3", "--json", "--resume"});
  ASSERT_EQ(parts.code, 0) << parts.errors;
  EXPECT_EQ(parts.final(), whole.final());
}

// The averages do not touch the training but through its learning rate, and --swa is the run's.
TEST_F(Trainer, AveragesAreWhatIsValidatedAndGoOnAfterAResume) {
  const Result plain = run({"--run", "plain", "--epochs", "2", "--json"});
  const Result whole = run({"--run", "whole", "--epochs", "4", "--swa", "2", "--json"});
  ASSERT_EQ(whole.code, 0) << whole.errors;
  EXPECT_EQ(whole.lines[0], plain.lines[0]);
  const auto averaged = nlohmann::json::parse(whole.lines[1]);
  EXPECT_EQ(averaged.at("weights_digest"), plain.final().at("weights_digest"));
  EXPECT_NE(averaged.at("val_loss"), plain.final().at("val_loss"));
  ASSERT_EQ(run({"--run", "parts", "--epochs", "3", "--swa", "2"}).code, 0);
  const Result parts = run({"--run", "parts", "--epochs", "4", "--json", "--resume"});
  ASSERT_EQ(parts.code, 0) << parts.errors;
  EXPECT_EQ(parts.final(), whole.final());
  EXPECT_EQ(run({"--run", "parts", "--epochs", "5", "--swa", "3", "--resume"}).code, 2);
}

TEST_F(Trainer, ResumeTakesTheRunsOptionsAndRefusesOthers) {
  ASSERT_EQ(run({"--epochs", "1", "--lr", "0.004"}).code, 0);
  EXPECT_EQ(run({"--epochs", "2", "--resume"}).code, 0);
  Result other = run({"--epochs", "3", "--resume", "--lr", "0.001"});
  EXPECT_EQ(other.code, 2);
  EXPECT_TRUE(has(other.errors, "--lr 0.001: run \"fashion-mnist\" was started with 0.004"))
      << other.errors;
}

TEST_F(Trainer, BadInputIsToldAndMakesNoRun) {
  EXPECT_EQ(run({"--epochs", "none"}).code, 2);
  EXPECT_EQ(run({"--resume", "--run", "auto"}).code, 2);
  EXPECT_EQ(run({"--help"}).code, 0);
  Result no_data = run({"--data", (folder_ / "nowhere").string()});
  EXPECT_EQ(no_data.code, 1);
  EXPECT_TRUE(has(no_data.errors, "dataset-fashion-mnist")) << no_data.errors;
  EXPECT_TRUE(Store::open(store_).runs().empty());
}

}  // namespace
}  // namespace ckp::test
