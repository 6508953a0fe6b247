// What can end the real trainer, or send it back, and how it goes on.
#include <gtest/gtest.h>
#include <signal.h>

#include <fstream>

#include "ckp/query.h"
#include "ckp/store.h"
#include "support/temporary_directory.h"
#include "trainer_process.h"

namespace ckp::test {
namespace {

using Words = std::vector<std::string>;

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

class TrainerStop : public ::testing::Test {
 protected:
  // Epochs of five steps.
  Words words(Words more) const {
    Words all{"--store", store_.string(), "--train-size", "160", "--batch-size", "32"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }

  struct Result {
    int code = 0;
    std::string out, errors;
    // The digest in the last line, which only a run that came to its end has.
    std::string digest() const {
      const auto final = out.rfind("\nfinal");
      if (final == std::string::npos) return "none";
      return out.substr(out.rfind(' ') + 1);
    }
  };
  static Result end_of(TrainerProcess& process) {
    Result result;
    result.code = process.wait();
    for (const std::string& line : process.lines()) result.out += line + "\n";
    result.errors = process.errors();
    return result;
  }
  Result run(Words more) const {
    TrainerProcess process(words(std::move(more)));
    return end_of(process);
  }

  std::vector<std::int64_t> steps(const std::string& run) const {
    Store store = Store::open(store_);
    std::vector<std::int64_t> steps;
    const RunRecord record = store.run(run);
    for (const auto& one : current_line(record, store.checkpoints(record.id))) {
      steps.push_back(one.step);
    }
    return steps;
  }

  TemporaryDirectory folder_;
  std::filesystem::path store_ = folder_ / "store";
};

TEST_F(TrainerStop, APreemptedRunSavesLeavesAndGoesOn) {
  const std::string expected = run({"--run", "whole", "--epochs", "8"}).digest();
  ASSERT_EQ(expected.size(), 33u);  // with its line break
  TrainerProcess process(words({"--run", "cnn", "--epochs", "8", "--resume", "--notice", "30"}));
  while (auto line = process.read_line()) {
    if (!line->starts_with("epoch 1/")) continue;
    process.signal(SIGTERM);
    break;
  }
  const Result stopped = end_of(process);
  EXPECT_EQ(stopped.code, 128 + SIGTERM) << stopped.errors;
  EXPECT_EQ(stopped.out.substr(0, 20), "resumed from step 0\n");
  EXPECT_TRUE(has(stopped.errors, "note: stopped by SIGTERM at step ")) << stopped.errors;
  EXPECT_TRUE(has(stopped.errors, ", which is saved")) << stopped.errors;
  EXPECT_FALSE(has(stopped.out, "final"));
  EXPECT_EQ(Store::open(store_).run("cnn").status, RunStatus::interrupted);

  const Result resumed = run({"--run", "cnn", "--epochs", "8", "--exact"});
  EXPECT_EQ(resumed.code, 0) << resumed.errors;
  const std::string step = stopped.errors.substr(stopped.errors.rfind(" step ") + 6);
  EXPECT_TRUE(resumed.out.starts_with("resumed from step " + step.substr(0, step.find(',')) + "\n"))
      << resumed.out;
  EXPECT_EQ(resumed.digest(), expected);
}

TEST_F(TrainerStop, StopsBeforeItsTimeIsOver) {
  const Result stopped = run({"--run", "cnn", "--epochs", "2", "--max-time", "1"});
  EXPECT_EQ(stopped.code, 0) << stopped.errors;
  EXPECT_TRUE(has(stopped.errors, "stopped by max_time at step 1, which is saved"))
      << stopped.errors;
  EXPECT_EQ(steps("cnn"), std::vector<std::int64_t>{1});
}

// A learning rate that blows the weights up: finite after one step, NaN after the next.
TEST_F(TrainerStop, APoisonedRunGoesOnFromItsLastFiniteCheckpoint) {
  const Result poisoned =
      run({"--run", "cnn", "--epochs", "1", "--lr", "1e30", "--save-every", "1"});
  EXPECT_EQ(poisoned.code, 0) << poisoned.errors;
  EXPECT_TRUE(has(poisoned.errors, "a resume takes the newest checkpoint without"))
      << poisoned.errors;
  ASSERT_EQ(steps("cnn"), (std::vector<std::int64_t>{1, 2, 3, 4, 5}));
  {
    Store store = Store::open(store_);
    for (const auto& one : store.checkpoints(store.run("cnn").id)) {
      EXPECT_EQ(one.nonfinite, one.step > 1) << one.step;
    }
  }
  const Result resumed =
      run({"--run", "cnn", "--resume", "--epochs", "2", "--on-nonfinite", "stop"});
  EXPECT_TRUE(resumed.out.starts_with("resumed from step 1\n")) << resumed.out;
  EXPECT_EQ(resumed.code, 1);
  EXPECT_TRUE(has(resumed.errors, "stopped by NaN or infinity at step 2, without a save"))
      << resumed.errors;
  EXPECT_EQ(Store::open(store_).run("cnn").status, RunStatus::failed);
}

TEST_F(TrainerStop, ARewoundRunEndsAsTheFirstOneDid) {
  const Result first = run({"--run", "cnn", "--epochs", "2", "--save-every", "2"});
  ASSERT_EQ(steps("cnn"), (std::vector<std::int64_t>{2, 4, 5, 6, 8, 10}));
  const Result rewound = run({"--run", "cnn", "--epochs", "2", "--save-every", "3",
                              "--resume-from", "step:4"});
  EXPECT_EQ(rewound.code, 0) << rewound.errors;
  EXPECT_TRUE(rewound.out.starts_with("resumed from step 4\n")) << rewound.out;
  EXPECT_EQ(rewound.digest(), first.digest());
  EXPECT_EQ(steps("cnn"), (std::vector<std::int64_t>{2, 4, 5, 6, 9, 10}));
}

TEST_F(TrainerStop, EveryAcknowledgedSaveOutlivesAKill) {
  const auto acks = folder_ / "acks";
  std::filesystem::create_directory(acks);
  TrainerProcess process(words({"--run", "cnn", "--epochs", "50", "--resume", "--save-every", "1",
                                "--ack-dir", acks.string()}));
  int saves = 0;
  while (auto line = process.read_line()) {
    if (line->starts_with("  saved") && ++saves == 7) break;
  }
  process.kill();
  EXPECT_EQ(process.wait(), -SIGKILL);
  Store store = Store::open(store_);
  int found = 0;
  for (const auto& entry : std::filesystem::directory_iterator(acks)) {
    std::string id;
    std::ifstream(entry.path()) >> id;
    if (id.empty()) continue;  // killed while it was acknowledged
    const CheckpointRecord record = store.find(parse_address("cnn@" + id));
    EXPECT_EQ(entry.path().filename().string(), "acked-" + std::to_string(record.step));
    ++found;
  }
  EXPECT_GE(found, 7);
  EXPECT_TRUE(store.verify().clean());
}

TEST_F(TrainerStop, ProvesThatAResumeWorks) {
  const Result plain = run({"--run", "plain", "--epochs", "1"});
  const Result checked = run({"--run", "checked", "--epochs", "1", "--check-resume", "3"});
  EXPECT_EQ(checked.code, 0);
  EXPECT_TRUE(has(checked.errors, "note: resume proven over 3 steps\n")) << checked.errors;
  EXPECT_EQ(checked.digest(), plain.digest());
}

TEST_F(TrainerStop, AResumeTellsWhatIsDifferent) {
  ASSERT_EQ(run({"--run", "cnn", "--epochs", "1", "--lr", "0.004"}).code, 0);
  const Result refused = run({"--run", "cnn", "--epochs", "2", "--exact", "--threads", "2"});
  EXPECT_EQ(refused.code, 1);
  EXPECT_TRUE(has(refused.errors, "threads: program 2, checkpoint 1")) << refused.errors;
  const Result resumed = run({"--run", "cnn", "--epochs", "2", "--resume", "--lr", "0.001",
                              "--keep-constructed", "optimizer/*/lr"});
  EXPECT_EQ(resumed.code, 0) << resumed.errors;
  EXPECT_TRUE(has(resumed.out, "optimizer/0/lr: program 0.001, checkpoint 0.004, kept 0.001\n"))
      << resumed.out;
}

}  // namespace
}  // namespace ckp::test
