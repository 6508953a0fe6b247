// A run whose directory was away when the index was made, and is there again: its disk has been
// mounted. The index brings it in when it is asked, and looks at no other run for that.
#include "ckp/query.h"
#include "engine/sample_states.h"
#include "engine/store_fixture.h"
#include "store/layout.h"
#include "support/forwarding_file_system.h"
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
  const std::string runs = (path() / "runs").string();
  EXPECT_EQ(looks, (std::vector<std::string>{"status " + runs, "list " + runs}));
}

// Where `runs/` changed long ago, and with it every time in it.
class OldDirectory : public test::ForwardingFileSystem {
 public:
  explicit OldDirectory(std::filesystem::path runs) : runs_(std::move(runs)) {}
  std::optional<FileStatus> status(const std::filesystem::path& path) override {
    auto status = base_->status(path);
    if (status && path == runs_) status->changed_ns -= 3'600'000'000'000;
    return status;
  }
  std::vector<std::string> list(const std::filesystem::path& directory) override {
    if (directory == runs_) ++listings;
    return base_->list(directory);
  }
  int listings = 0;

 private:
  const std::filesystem::path runs_;
};

TEST_F(ReturnedRunTest, RunsAreListedAgainOnlyWhenTheyHaveChanged) {
  const auto old = std::make_shared<OldDirectory>(path() / "runs");
  take_away();
  const auto before = posix_file_system()->status(path() / "runs")->changed_ns;
  const Store store = Store::open(path(), {.file_system = old});
  for (int question = 0; question < 3; ++question) {
    EXPECT_EQ(names(store), std::vector<std::string>{"a"});
    EXPECT_EQ(store.run("a").name, "a");
    EXPECT_EQ(old->listings, 1) << question;
  }
  bring_back();
  while (posix_file_system()->status(path() / "runs")->changed_ns == before) {
    take_away();  // within one step of the file system's clock
    bring_back();
  }
  EXPECT_EQ(names(store), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(store.checkpoints(newest_.run).size(), 3u);
  old->listings = 0;
  EXPECT_EQ(store.run("b").name, "b");
  EXPECT_LE(old->listings, 1) << "the index has another run";
  // Another process's run comes with a row of its own.
  {
    Store other = Store::open(path());
    ckp::Run run = other.create_run(run_options("c"));
    run.finish(RunStatus::completed);
  }
  EXPECT_EQ(names(store), (std::vector<std::string>{"a", "b", "c"}));
}

// A directory without a record may get one without any change of `runs/`: its disk is mounted.
TEST_F(ReturnedRunTest, ADirectoryWithoutARecordIsLookedAtEachTime) {
  const auto old = std::make_shared<OldDirectory>(path() / "runs");
  take_away();
  std::filesystem::create_directory_symlink(directory_ / "mount", directory_of_b_);
  const Store store = Store::open(path(), {.file_system = old});
  for (int question = 0; question < 2; ++question) {
    EXPECT_EQ(names(store), std::vector<std::string>{"a"});
  }
  std::filesystem::rename(directory_ / "away", directory_ / "mount");
  EXPECT_EQ(names(store), (std::vector<std::string>{"a", "b"}));
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
