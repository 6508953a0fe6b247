// A run whose directory was away when the index was made, and is there again: its disk has been
// mounted. The index brings it in when it is asked, and looks at no other run for that.
#include "ckp/query.h"
#include "engine/sample_states.h"
#include "engine/store_fixture.h"
#include "store/layout.h"
#include "support/hooked_file_system.h"

namespace ckp {
namespace {

using test::StoreTest;

class ReturnedRunTest : public StoreTest {
 protected:
  // Runs "a" and "b" of three checkpoints each, and an index that has not heard of "b".
  void SetUp() override {
    Store store = Store::create(path());
    for (const std::string name : {"a", "b"}) {
      ckp::Run run = store.create_run(run_options(name));
      for (int epoch = 1; epoch <= 3; ++epoch) newest_ = save(run, epoch + 10 * name[0]);
      directory_of_b_ = path() / "runs" / run.record().directory;
      run.finish(RunStatus::completed);
    }
    take_away();
    store.rebuild_index();
    ASSERT_EQ(names(store), std::vector<std::string>{"a"});
    bring_back();
  }
  void take_away() const { std::filesystem::rename(directory_of_b_, directory_ / "away"); }
  void bring_back() const { std::filesystem::rename(directory_ / "away", directory_of_b_); }
  static std::vector<std::string> names(const Store& store) {
    std::vector<std::string> all;
    for (const RunRecord& run : store.runs()) all.push_back(run.name);
    return all;
  }
  void expect_whole_index() const {
    Store store = Store::open(path());
    EXPECT_EQ(names(store), (std::vector<std::string>{"a", "b"}));
    const auto listed = store.checkpoints(newest_.run);
    EXPECT_GE(listed.size(), 3u);
    for (const Finding& finding : store.verify().findings) ADD_FAILURE() << finding.message;
    store.rebuild_index();
    EXPECT_EQ(store.checkpoints(newest_.run), listed);
  }

  CheckpointRecord newest_;  // of "b"
  std::filesystem::path directory_of_b_;
};

TEST_F(ReturnedRunTest, IsListed) {
  const Store store = Store::open(path());
  EXPECT_EQ(names(store), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(store.checkpoints(newest_.run).size(), 3u);
  expect_whole_index();
}

TEST_F(ReturnedRunTest, IsFoundByTheIdOfACheckpoint) {
  const Store store = Store::open(path());
  EXPECT_EQ(store.find(parse_address("@" + newest_.id.short_hex())), newest_);
}

// Its record alone in the index would hide its checkpoints.
TEST_F(ReturnedRunTest, IsListedWithItsCheckpointsWhenItIsResumed) {
  for (const bool by_name : {true, false}) {
    {
      Store store = Store::open(path());
      std::optional<Address> from;
      if (by_name) from = parse_address("b@" + newest_.id.short_hex());
      ckp::Run run = store.resume_run("b", from);
      EXPECT_EQ(run.continued_from()->record().id, newest_.id);
      run.finish(RunStatus::completed);
    }
    expect_whole_index();
    take_away();
    Store::open(path()).rebuild_index();
    bring_back();
  }
}

TEST_F(ReturnedRunTest, IsListedWithItsCheckpointsWhenItGoesOn) {
  {
    Store store = Store::open(path());
    ckp::Run run = store.resume_run("b");
    newest_ = save(run, 99);
    run.finish(RunStatus::completed);
  }
  EXPECT_EQ(Store::open(path()).checkpoints(newest_.run).size(), 4u);
  expect_whole_index();
}

TEST_F(ReturnedRunTest, ARunThatIsListedCostsNoLook) {
  expect_whole_index();
  const auto hooked = std::make_shared<test::HookedFileSystem>();
  const Store store = Store::open(path(), {.file_system = hooked});
  std::vector<std::string> looks;
  hooked->before = [&](const std::string& operation) {
    if (operation.find((path() / "runs").string()) != std::string::npos) looks.push_back(operation);
  };
  EXPECT_EQ(names(store).size(), 2u);
  EXPECT_EQ(looks, std::vector<std::string>{"list " + (path() / "runs").string()});
}

// It holds chunks for "c", and is no run any more: nothing to make the index anew for.
TEST_F(ReturnedRunTest, WhatIsLeftOfARemovedRunIsNotTakenForOne) {
  Store store = Store::open(path());
  ckp::Run run = store.create_run(run_options("c"));
  run.save(test::SmallState(1 + 10 * 'a').dict(), {.epoch = 1, .step = 1}).wait();
  run.finish(RunStatus::completed);
  store.remove_run("a");
  ASSERT_EQ(std::distance(std::filesystem::directory_iterator(path() / "runs"), {}), 3);
  EXPECT_EQ(names(store), (std::vector<std::string>{"b", "c"}));
  // The stamp in it counts the index's transactions.
  const auto before = test::read_bytes(path() / "lock");
  EXPECT_EQ(names(store), (std::vector<std::string>{"b", "c"}));
  EXPECT_EQ(test::read_bytes(path() / "lock"), before);
}

}  // namespace
}  // namespace ckp
