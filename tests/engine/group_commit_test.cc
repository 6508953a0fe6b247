// Small saves that queue up are committed together.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "engine/store_fixture.h"
#include "support/faulty_file_system.h"
#include "support/held_file_system.h"
#include "support/state_block.h"

namespace ckp {
namespace {

using test::expect_error;
using test::SmallState;

class GroupCommitTest : public test::StoreTest {
 protected:
  Store make_store() {
    StoreOptions options;
    options.file_system = disk_;
    return Store::create(path(), options);
  }
  static PendingSave begin(ckp::Run& run, int epoch) {
    return run.save(SmallState(epoch).dict(), {.epoch = epoch, .step = epoch});
  }
  // One save that is held, alone, and behind it one for each epoch.
  std::vector<PendingSave> queue_up(ckp::Run& run, const std::vector<int>& queued) {
    disk_->hold();
    std::vector<PendingSave> saves;
    saves.push_back(begin(run, 100));
    disk_->wait_for(saves.back());
    for (const int epoch : queued) saves.push_back(begin(run, epoch));
    return saves;
  }
  std::size_t count(const std::string& operation) const {
    const auto log = faulty_->log();
    return static_cast<std::size_t>(
        std::count_if(log.begin(), log.end(),
                      [&](const std::string& line) { return line.starts_with(operation); }));
  }
  static bool is_sync_of_a_pack(const std::string& line) {
    return line.starts_with("sync ") && line.ends_with(".tmp");
  }
  std::vector<std::int64_t> saved_epochs() {
    const Store store = Store::open(path());
    return epochs(store.checkpoints(store.runs().front().id));
  }
  void expect_sound() {
    Store store = Store::open(path());
    EXPECT_TRUE(store.verify({.level = VerifyLevel::full}).findings.empty());
    for (const CheckpointRecord& checkpoint : store.checkpoints(store.runs().front().id)) {
      EXPECT_TRUE(
          SmallState(static_cast<int>(checkpoint.epoch)).is_in(store.open_checkpoint(checkpoint)))
          << checkpoint.epoch;
    }
  }

  std::shared_ptr<test::FaultyFileSystem> faulty_ = std::make_shared<test::FaultyFileSystem>();
  std::shared_ptr<test::HeldFileSystem> disk_ = std::make_shared<test::HeldFileSystem>(faulty_);
};

TEST_F(GroupCommitTest, WhatHasQueuedUpCostsOneCommit) {
  Store store = make_store();
  ckp::Run run = store.create_run({.name = "cnn"});
  begin(run, 1).wait();
  auto saves = queue_up(run, {2, 3, 4, 5});
  faulty_->clear_log();
  disk_->let_go();
  std::vector<std::uint64_t> commits;
  for (PendingSave& save : saves) commits.push_back(save.wait().checkpoint.commit);
  EXPECT_TRUE(std::is_sorted(commits.begin(), commits.end()));
  EXPECT_EQ(count("rename"), 5u);
  EXPECT_EQ(count("sync_directory"), 2u) << "of the one that was held, and of the others";
  EXPECT_EQ(saved_epochs(), (std::vector<std::int64_t>{1, 100, 2, 3, 4, 5}));
  expect_sound();
}

TEST_F(GroupCommitTest, TheNextSaveIsComparedWithTheLastOfTheGroup) {
  Store store = make_store();
  ckp::Run run = store.create_run({.name = "cnn"});
  begin(run, 1).wait();
  auto saves = queue_up(run, {2, 3});
  disk_->let_go();
  for (PendingSave& save : saves) save.wait();
  EXPECT_EQ(begin(run, 3).wait().bytes_copied, 0u);
}

// Otherwise everything that does not change would be stored with each of them.
TEST_F(GroupCommitTest, SavesThatWereComparedWithNothingShareWithTheOnesBefore) {
  Store store = make_store();
  ckp::Run run = store.create_run({.name = "cnn"});
  disk_->hold();
  std::vector<PendingSave> saves;
  for (int i = 0; i < 4; ++i) saves.push_back(begin(run, 1));
  disk_->let_go();
  EXPECT_GT(saves.front().wait().chunks_written, 0u);
  for (std::size_t i = 1; i < saves.size(); ++i) EXPECT_EQ(saves[i].wait().chunks_written, 0u);
}

TEST_F(GroupCommitTest, OneThatFailsTakesNoOtherWithIt) {
  Store store = make_store();
  ckp::Run run = store.create_run({.name = "cnn"});
  begin(run, 1).wait();
  auto saves = queue_up(run, {2, 3, 4});
  faulty_->plan({.at = 3, .only = is_sync_of_a_pack});
  disk_->let_go();
  for (const std::size_t sound : {0u, 1u, 3u}) saves[sound].wait();
  expect_error(ErrorCode::io, "sync", [&] { saves[2].wait(); });
  EXPECT_EQ(saved_epochs(), (std::vector<std::int64_t>{1, 100, 2, 4}));
  begin(run, 5).wait();
  expect_sound();
}

// Whether it was done is not known, so nobody may believe the index before it has looked.
TEST_F(GroupCommitTest, ARenameThatFailsLeavesTheIndexBehind) {
  Store store = make_store();
  ckp::Run run = store.create_run({.name = "cnn"});
  begin(run, 1).wait();
  auto saves = queue_up(run, {2, 3, 4});
  faulty_->plan(
      {.at = 3, .only = [](const std::string& line) { return line.starts_with("rename"); }});
  disk_->let_go();
  for (const std::size_t sound : {0u, 1u, 3u}) saves[sound].wait();
  expect_error(ErrorCode::io, "rename", [&] { saves[2].wait(); });
  test::change_state_block(path(),
                           [](format::StateBlock& block) { EXPECT_LT(block.end, block.begin); });
  EXPECT_EQ(saved_epochs(), (std::vector<std::int64_t>{1, 100, 2, 4}));
  expect_sound();
}

TEST_F(GroupCommitTest, WithoutACommitPointNoneOfThemStaysVisible) {
  Store store = make_store();
  ckp::Run run = store.create_run({.name = "cnn"});
  begin(run, 1).wait();
  auto saves = queue_up(run, {2, 3, 4});
  faulty_->plan({.at = 2, .only = [](const std::string& line) {
                   return line.starts_with("sync_directory");
                 }});
  disk_->let_go();
  saves[0].wait();
  for (std::size_t i = 1; i < saves.size(); ++i) {
    expect_error(ErrorCode::io, "sync_directory", [&] { saves[i].wait(); });
  }
  EXPECT_EQ(saved_epochs(), (std::vector<std::int64_t>{1, 100}));
  begin(run, 5).wait();
  EXPECT_EQ(saved_epochs(), (std::vector<std::int64_t>{1, 100, 5}));
  expect_sound();
}

}  // namespace
}  // namespace ckp
