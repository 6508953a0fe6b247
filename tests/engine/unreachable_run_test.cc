// A run directory that is a symbolic link to a disk that is not mounted: it is named and left
// alone, with its rows in the index and whatever refers to it, until the disk is back.
#include "repair_fixture.h"

namespace ckp {
namespace {

using test::RepairTest;

// Beside "cnn" and "twin" a run "user", whose one checkpoint is epoch 4 of "cnn" by reference.
class UnreachableRunTest : public RepairTest {
 protected:
  void SetUp() override {
    RepairTest::SetUp();
    Store store = Store::open(path());
    ckp::Run run = store.create_run(run_options("user"));
    const auto report = run.save(state(4).dict(), {.epoch = 4, .step = 4}).wait();
    user_ = report.checkpoint;
    user_directory_ = report.path.parent_path();
    run.finish(RunStatus::completed);
    std::filesystem::create_directory(disk());
  }

  std::filesystem::path disk() const { return directory_ / "disk"; }
  std::filesystem::path away() const { return directory_ / "away"; }
  void move_to_disk(const std::filesystem::path& run) {
    std::filesystem::rename(run, disk() / run.filename());
    std::filesystem::create_symlink(disk() / run.filename(), run);
  }
  void unmount() { std::filesystem::rename(disk(), away()); }
  void mount() { std::filesystem::rename(away(), disk()); }

  static void expect_says(const std::string& message, const std::filesystem::path& link) {
    for (const std::string& word :
         {link.string(), std::string("leads nowhere"), std::string("mount the disk")}) {
      EXPECT_NE(message.find(word), std::string::npos) << word << " in: " << message;
    }
  }
  void expect_user_is_whole() const {
    const Store store = Store::open(path());
    const auto listed = store.checkpoints(user_.run);
    ASSERT_EQ(listed.size(), 1u);
    EXPECT_EQ(listed[0].id, user_.id);
    EXPECT_TRUE(state(4).is_in(store.open_checkpoint(listed[0])));
  }
  void expect_all_is_back() {
    mount();
    expect_clean();
    expect_epochs({1, 2, 3, 4});
    expect_user_is_whole();
    EXPECT_TRUE(repair(path()).nothing_to_do());
  }

  CheckpointRecord user_;
  std::filesystem::path user_directory_;
};

TEST_F(UnreachableRunTest, IsNamedAndLeftWithWhatRefersToIt) {
  move_to_disk(run_directory_);
  expect_clean();
  unmount();
  const VerifyReport found = Store::open(path()).verify();
  for (const Finding& finding : found.findings) {
    EXPECT_EQ(finding.path, run_directory_.string()) << finding.message;
    EXPECT_FALSE(finding.index);
    expect_says(finding.message, run_directory_);
  }
  EXPECT_EQ(found.findings.size(), 1u);

  const RepairReport done = repair(path());
  ASSERT_EQ(done.steps.size(), 1u);
  EXPECT_EQ(to_string(done.steps[0].action), "leave");
  EXPECT_EQ(done.steps[0].path, run_directory_.string());
  expect_says(done.steps[0].message, run_directory_);
  EXPECT_FALSE(done.restores_all());
  EXPECT_TRUE(std::filesystem::is_symlink(run_directory_));
  EXPECT_EQ(Store::open(path()).checkpoints(saved_[1].run).size(), 4u) << "its rows stay";
  expect_all_is_back();
}

// Somebody has committed who sees no index here, so that rows without a file go.
TEST_F(UnreachableRunTest, ItsRowsStayInAResync) {
  move_to_disk(run_directory_);
  unmount();
  test::change_state_block(path(), [](format::StateBlock& block) { block.boot = Uuid{}; });
  EXPECT_EQ(Store::open(path()).checkpoints(saved_[1].run).size(), 4u);
  expect_all_is_back();
}

TEST_F(UnreachableRunTest, ListingItSaysSo) {
  move_to_disk(run_directory_);
  unmount();
  const Store store = Store::open(path());
  const auto lines = store.missing(store.run("cnn"));
  ASSERT_EQ(lines.size(), 1u);
  expect_says(lines[0], run_directory_);
}

// What its checkpoints refer to nobody knows.
TEST_F(UnreachableRunTest, NothingIsCollectedBesideOne) {
  move_to_disk(user_directory_);
  unmount();
  {
    Store store = Store::open(path());
    EXPECT_EQ(store.remove_checkpoints(std::vector{saved_[4].id}), 0u);
    EXPECT_EQ(store.prune(KeepPolicy{.last = 1}, std::vector<std::string>{"cnn"}).bytes_freed, 0u);
  }
  mount();
  expect_user_is_whole();
}

TEST_F(UnreachableRunTest, ItsNameIsNotFree) {
  move_to_disk(run_directory_);
  unmount();
  Store store = Store::open(path());
  const std::string link = run_directory_.string() + ": ";
  test::expect_error(ErrorCode::io, link, [&] { store.create_run(run_options("cnn")); });
  test::expect_error(ErrorCode::io, link, [&] { store.resume_run("cnn"); });
  test::expect_error(ErrorCode::io, link, [&] { store.remove_run("cnn"); });
  test::expect_error(ErrorCode::io, link, [&] {
    store.plan_prune(KeepPolicy{.last = 1}, std::vector<std::string>{"cnn"});
  });
  test::expect_error(ErrorCode::io, link, [&] { store.open_checkpoint(saved_[4]); });
  EXPECT_EQ(store.free_run_name("cnn"), "cnn-2");
  expect_all_is_back();
}

// All that is in this directory is of "cnn", which has one of its own.
TEST_F(UnreachableRunTest, NoOtherDirectoryTakesItsPlace) {
  move_to_disk(run_directory_);
  const auto other = run_directory_.parent_path() / run_directory_name("cnn", Uuid{{std::byte{1}}});
  std::filesystem::create_directory(other);
  std::filesystem::copy_file(packs_[4], other / packs_[4].filename());
  unmount();
  const RepairReport done = repair(path());
  for (const RepairStep& step : done.steps) {
    EXPECT_EQ(to_string(step.action), "leave") << step.message;
  }
  EXPECT_TRUE(std::filesystem::is_symlink(run_directory_));
  std::filesystem::remove_all(other);
  mount();
  expect_epochs({1, 2, 3, 4});
}

}  // namespace
}  // namespace ckp
