// Two containers with one store between them: their process ids are equal, and tell nobody apart.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "ckp/store.h"
#include "kill/acknowledged.h"
#include "kill/trainer.h"
#include "support/memory_directory.h"
#include "support/program.h"
#include "support/temporary_directory.h"

namespace ckp {
namespace {

constexpr int run_is_held = 3;  // the trainer's exit status

class ContainersTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto result = test::run_program({"unshare", "--pid", "--fork", "true"});
    if (result.status != 0) {
      GTEST_SKIP() << "needs the right to make a namespace of process ids: " << result.err;
    }
    Store::create(store_);
  }
  std::filesystem::path acks(const std::string& name) const { return place_ / ("acks-" + name); }
  // A trainer that is process 1 of a namespace of its own.
  std::vector<std::string> contained(const std::string& run, const std::string& acks_name,
                                     const std::string& epochs) const {
    return {"unshare",
            "--pid",
            "--fork",
            "--kill-child",
            std::string(CKP_BIN_DIR) + "/ckp_kill_trainer",
            "train",
            store_,
            run,
            acks(acks_name),
            epochs};
  }
  void wait_for_save(const std::string& acks_name) const {
    while (test::read_acknowledged(acks(acks_name)).saves.empty()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }

  const test::TemporaryDirectory place_{test::memory_directory()};
  const std::filesystem::path store_ = place_ / "store";
};

TEST_F(ContainersTest, TwoTrainersWithEqualPids) {
  const int a = test::start_program(contained("a", "a", "40"));
  const int b = test::start_program(contained("b", "b", "40"));
  EXPECT_EQ(test::wait_for_program(a), 0);
  EXPECT_EQ(test::wait_for_program(b), 0);
  const Store store = Store::open(store_);
  const VerifyReport report = store.verify({.level = VerifyLevel::full});
  for (const Finding& finding : report.findings) ADD_FAILURE() << finding.message;
  for (const std::string name : {"a", "b"}) {
    const test::Acknowledged acknowledged = test::read_acknowledged(acks(name));
    EXPECT_EQ(acknowledged.processes, std::vector<long>{1});
    const RunRecord run = store.run(name);
    EXPECT_EQ(run.status, RunStatus::completed);
    const auto live = store.checkpoints(run.id);
    EXPECT_EQ(live.size(), 40u);
    for (const CheckpointRecord& one : live) {
      EXPECT_EQ(acknowledged.saves.at(one.commit), one.epoch);
      EXPECT_TRUE(test::trained_state(name, one.epoch).is_in(store.open_checkpoint(one)));
    }
  }
}

TEST_F(ContainersTest, ARunHeldInOneIsRefusedInTheOtherUntilItsTrainerIsDead) {
  const int first = test::start_program(contained("a", "first", "1000000"));
  wait_for_save("first");
  EXPECT_EQ(test::run_program(contained("a", "second", "3")).status, run_is_held);
  EXPECT_EQ(Store::open(store_).run("a").status, RunStatus::in_progress);
  ::kill(first, SIGKILL);
  test::wait_for_program(first);
  // The namespace dies with the first, a moment later.
  int status = run_is_held;
  while (status == run_is_held) status = test::run_program(contained("a", "second", "3")).status;
  EXPECT_EQ(status, 0);
  const Store store = Store::open(store_);
  const test::Acknowledged lost = test::read_acknowledged(acks("first"));
  const auto live = store.checkpoints(store.run("a").id);
  EXPECT_GE(live.size(), lost.saves.size() + 3);
  EXPECT_EQ(store.run("a").status, RunStatus::completed);
}

}  // namespace
}  // namespace ckp
