// Several processes in one store at the same time.
#include <list>
#include <set>

#include "engine/store_fixture.h"
#include "support/child_process.h"

namespace ckp {
namespace {

using test::ChildProcess;
using test::SmallState;
using test::StoreTest;

class ProcessesTest : public StoreTest {};

TEST_F(ProcessesTest, SeveralTrainersSaveWhileOneListsAndPrunes) {
  Store::create(path());
  constexpr int trainers = 4, saves = 12;
  std::list<ChildProcess> children;
  for (int i = 0; i < trainers; ++i) {
    children.emplace_back([&, i] {
      Store store = Store::open(path());
      ckp::Run run = store.create_run(run_options("run-" + std::to_string(i)));
      for (int epoch = 1; epoch <= saves; ++epoch) {
        // Every other state is one that all runs save: shared chunks cross runs.
        const SmallState state(epoch % 2 == 0 ? epoch : 100 * i + epoch, 20'000);
        run.save(state.dict(), {.epoch = epoch, .step = epoch}).wait();
      }
      run.finish(RunStatus::completed);
      return 0;
    });
  }
  children.emplace_back([&] {
    Store store = Store::open(path());
    KeepPolicy policy;
    policy.last = 3;
    for (int i = 0; i < 25; ++i) {
      store.prune(policy);
      for (const RunRecord& run : store.runs()) store.checkpoints(run.id);
    }
    return 0;
  });
  for (ChildProcess& child : children) EXPECT_EQ(child.wait(), 0);

  Store store = Store::open(path());
  EXPECT_EQ(store.runs().size(), static_cast<std::size_t>(trainers));
  std::set<std::uint64_t> commits;
  for (const RunRecord& run : store.runs()) {
    const int i = std::stoi(run.name.substr(4));
    const auto checkpoints = store.checkpoints(run.id);
    ASSERT_FALSE(checkpoints.empty());
    EXPECT_EQ(checkpoints.back().epoch, saves);
    for (const CheckpointRecord& checkpoint : checkpoints) {
      EXPECT_TRUE(commits.insert(checkpoint.commit).second) << "a commit number given twice";
      const int epoch = static_cast<int>(checkpoint.epoch);
      const SmallState state(epoch % 2 == 0 ? epoch : 100 * i + epoch, 20'000);
      EXPECT_TRUE(state.is_in(store.open_checkpoint(checkpoint)));
    }
  }
  const VerifyReport report = store.verify({.level = VerifyLevel::full});
  for (const Finding& finding : report.findings) ADD_FAILURE() << finding.message;
}

TEST_F(ProcessesTest, TwoRunsOfOneNameAtTheSameTime) {
  Store::create(path());
  std::list<ChildProcess> children;
  for (int i = 0; i < 4; ++i) {
    children.emplace_back([&] {
      Store store = Store::open(path());
      ckp::Run run = store.create_run(run_options("same"));
      run.save(SmallState(1, 100).dict(), {.epoch = 1, .step = 1}).wait();
      return 0;
    });
  }
  int created = 0;
  for (ChildProcess& child : children) created += child.wait() == 0 ? 1 : 0;
  EXPECT_EQ(created, 1);
  EXPECT_EQ(Store::open(path()).runs().size(), 1u);
}

}  // namespace
}  // namespace ckp
