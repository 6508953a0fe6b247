// The second example: mixed precision, accumulation, averages, counted in steps.
#include <gtest/gtest.h>
#include <signal.h>

#include <fstream>

#include "ckp/store.h"
#include "support/temporary_directory.h"
#include "trainer_process.h"

namespace ckp::test {
namespace {

class TrainGpt : public ::testing::Test {
 protected:
  // Three saves before its end, the first epoch's among them.
  std::vector<std::string> arguments(const std::string& run) const {
    return {"--store",      store_.string(),
            "--run",        run,
            "--steps",      "28",
            "--warmup",     "4",
            "--layers",     "1",
            "--width",      "16",
            "--heads",      "2",
            "--context",    "128",
            "--batch-size", "16",
            "--accumulate", "3",
            "--save-every", "7",
            "--ack-dir",    acks_.string()};
  }
  // "final step 28  weights 1c0e...": all of the line.
  std::string run_to_the_end(const std::string& run) {
    TrainerProcess process(arguments(run), "train_gpt");
    EXPECT_EQ(process.wait(), 0) << process.errors();
    first_lines_.push_back(process.lines().empty() ? "" : process.lines().front());
    return process.lines().empty() ? "" : process.lines().back();
  }
  // Whether the kill came before its end.
  bool kill_after_a_save(const std::string& run) {
    TrainerProcess process(arguments(run), "train_gpt");
    while (auto line = process.read_line()) {
      if (line->starts_with("  saved")) break;
    }
    process.kill();
    return process.wait() == -SIGKILL;
  }

  TemporaryDirectory folder_;
  std::filesystem::path store_ = folder_ / "store";
  std::filesystem::path acks_ = folder_ / "acks";
  std::vector<std::string> first_lines_;
};

TEST_F(TrainGpt, KilledAndStartedAgainItEndsWithTheSameWeights) {
  std::filesystem::create_directory(acks_);
  const std::string expected = run_to_the_end("whole");
  ASSERT_TRUE(expected.starts_with("final step 28  weights ")) << expected;
  std::string killed = "killed";
  for (int tries = 1; !kill_after_a_save(killed); ++tries) {
    ASSERT_LT(tries, 10) << "the trainer ends before it can be killed";
    killed = "killed-" + std::to_string(tries);
  }
  kill_after_a_save(killed);
  EXPECT_EQ(run_to_the_end(killed), expected);
  EXPECT_TRUE(first_lines_.back().starts_with("resumed " + killed)) << first_lines_.back();
  EXPECT_EQ(run_to_the_end(killed), expected);  // nothing is left to do
  Store store = Store::open(store_);
  EXPECT_EQ(store.run(killed).status, RunStatus::completed);
  EXPECT_EQ(store.run(killed).attempts.size(), 4u);
  EXPECT_TRUE(store.verify().clean());
  std::string id;
  std::ifstream(acks_ / "acked-28") >> id;
  EXPECT_EQ(store.find(parse_address(killed)).step, 28);
  EXPECT_EQ(store.find(parse_address("@" + id)).step, 28);
}

TEST_F(TrainGpt, HelpAndErrors) {
  TrainerProcess help({"--help"}, "train_gpt");
  EXPECT_EQ(help.wait(), 0);
  EXPECT_GT(help.lines().size(), 15u);
  TrainerProcess nothing({"--text", folder_.path().string(), "--store", store_.string()},
                         "train_gpt");
  EXPECT_EQ(nothing.wait(), 1);
  EXPECT_NE(nothing.errors().find("hardly any text"), std::string::npos) << nothing.errors();
  EXPECT_FALSE(std::filesystem::exists(store_));
}

}  // namespace
}  // namespace ckp::test
