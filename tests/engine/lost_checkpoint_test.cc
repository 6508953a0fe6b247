// A checkpoint whose file somebody took away behind the store's back: the index is the only one
// that still knows it, and must not forget it before a repair has been told to.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "ckp/format/store_identity.h"
#include "ckp/repair.h"
#include "io/host.h"
#include "store/layout.h"
#include "store_fixture.h"
#include "support/hooked_file_system.h"
#include "support/state_block.h"

namespace ckp {
namespace {

using test::HookedFileSystem;
using test::StoreTest;

class LostCheckpointTest : public StoreTest {
 protected:
  void fill() {
    Store store = Store::create(path());
    ckp::Run run = store.create_run(run_options("a"));
    for (int epoch = 1; epoch <= 3; ++epoch) newest_ = save(run, epoch);
    directory_name_ = run.record().directory;
    run.finish(RunStatus::completed);
  }
  std::filesystem::path file_of(const CheckpointRecord& checkpoint) const {
    return path() / "runs" / directory_name_ / live_name(checkpoint);
  }
  void lose_newest() { std::filesystem::remove(file_of(newest_)); }

  void change_block(const std::function<void(format::StateBlock&)>& change) const {
    test::change_state_block(path(), change);
  }
  // As a save leaves it that is killed before its rename.
  void kill_a_save() {
    change_block([&](format::StateBlock& block) {
      block.begin = block.end + 1;
      block.run_directory = directory_name_;
    });
  }
  void reboot() {
    change_block([](format::StateBlock& block) { block.boot = random_uuid(); });
  }
  // Another process commits that sees no index here.
  void commit_without_index() {
    change_block([](format::StateBlock& block) { block.boot = Uuid{}; });
  }

  void expect_lost() {
    Store store = Store::open(path());
    {
      const ckp::Run run = store.resume_run("a");
      EXPECT_EQ(run.continued_from()->record().epoch, 2);
      ASSERT_EQ(run.skipped().size(), 1u);
      EXPECT_NE(run.skipped()[0].find("neither pruned nor removed"), std::string::npos);
    }
    expect_lost_in(store.verify({}));
  }
  void expect_lost_in(const VerifyReport& report) {
    ASSERT_EQ(report.findings.size(), 1u);
    EXPECT_EQ(report.findings[0].checkpoint, newest_.id.hex());
  }
  void expect_not_lost() {
    Store store = Store::open(path());
    const ckp::Run run = store.resume_run("a");
    EXPECT_TRUE(run.skipped().empty());
    EXPECT_TRUE(store.verify({}).findings.empty());
  }

  CheckpointRecord newest_;
  std::string directory_name_;
};

TEST_F(LostCheckpointTest, IsNamedByResumeAndVerify) {
  fill();
  lose_newest();
  expect_lost();
}

TEST_F(LostCheckpointTest, IsNamedAfterAKilledSave) {
  fill();
  lose_newest();
  kill_a_save();
  expect_lost_in(Store::open(path()).verify({}));
  kill_a_save();
  expect_lost();
}

TEST_F(LostCheckpointTest, IsNamedAfterARebootAndALook) {
  fill();
  lose_newest();
  reboot();
  EXPECT_EQ(Store::open(path()).runs().size(), 1u);  // brings the index up to date
  expect_lost();
  reboot();
  expect_lost_in(Store::open(path()).verify({}));
}

TEST_F(LostCheckpointTest, IsForgottenByARepair) {
  fill();
  lose_newest();
  reboot();
  const RepairReport report = repair(path(), {});
  EXPECT_FALSE(report.restores_all());
  expect_not_lost();
}

// The older ones may be all that is left of the run.
TEST_F(LostCheckpointTest, StopsAPruneOfOthersUntilARepair) {
  fill();
  lose_newest();
  Store store = Store::open(path());
  KeepPolicy policy;
  policy.last = 1;
  const auto id = newest_.id.short_hex();
  test::expect_error(ErrorCode::corrupt, id, [&] { store.plan_prune(policy); });
  test::expect_error(ErrorCode::corrupt, id, [&] { store.prune(policy); });
  test::expect_error(ErrorCode::corrupt, "ckptool repair", [&] { store.prune(policy); });
  EXPECT_EQ(store.rebuild_index().checkpoints, 2u) << "nothing was deleted";
  policy.last = 2;
  EXPECT_EQ(store.prune(policy).bytes_freed, 0u) << "nothing would go, so nothing is asked";
}

TEST_F(LostCheckpointTest, ARepairLetsThePruneGoOn) {
  fill();
  lose_newest();
  repair(path(), {});
  Store store = Store::open(path());
  KeepPolicy policy;
  policy.last = 1;
  EXPECT_GT(store.prune(policy).bytes_freed, 0u);
  EXPECT_EQ(epochs(store.checkpoints(store.run("a").id)), (std::vector<std::int64_t>{2}));
}

// Whoever prunes where the index cannot be seen tells it nothing.
TEST_F(LostCheckpointTest, WhatOthersTookAwayIsNotLost) {
  fill();
  lose_newest();
  commit_without_index();
  expect_not_lost();
}

TEST_F(LostCheckpointTest, TheOthersAreRememberedBesideAKilledSave) {
  fill();
  lose_newest();
  commit_without_index();
  {
    // A commit that does not reach the index: the block must go on saying what it said.
    const auto fs = std::make_shared<HookedFileSystem>();
    StoreOptions options;
    options.file_system = fs;
    Store store = Store::open(path(), options);
    fs->before = [&](const std::string& operation) {
      if (operation.starts_with("rename ")) throw Error(ErrorCode::io, "stopped");
    };
    EXPECT_THROW(store.remove_run("a"), Error);
  }
  expect_not_lost();
}

// A removal that the index cannot be told of takes the index away: a row that stays would look
// lost once the file is gone.
TEST_F(LostCheckpointTest, ARemovalThatTheIndexCannotHearOfIsNoLoss) {
  fill();
  const auto fs = std::make_shared<HookedFileSystem>();
  StoreOptions options;
  options.file_system = fs;
  options.lock_timeout_ms = 0;
  Store store = Store::open(path(), options);
  EXPECT_EQ(store.checkpoints(store.run("a").id).size(), 3u);
  // Somebody is stopped in the middle of an index transaction.
  const int holder = ::open((path() / "lock").c_str(), O_RDWR | O_CLOEXEC);
  struct flock index_bytes = {};
  index_bytes.l_type = F_WRLCK;
  index_bytes.l_start = lock_byte::index_gate;
  index_bytes.l_len = 2;
  ASSERT_EQ(::fcntl(holder, F_OFD_SETLK, &index_bytes), 0);
  store.remove_checkpoints(std::span(&newest_.id, 1));
  EXPECT_FALSE(std::filesystem::exists(file_of(newest_)));
  ::close(holder);
  expect_not_lost();
}

// Retired and marked dead, then killed before the index heard of it.
TEST_F(LostCheckpointTest, ARemovalThatWasKilledIsNoLoss) {
  fill();
  PackName name = *parse_pack_name(live_name(newest_));
  name.state = PackState::dead;
  std::filesystem::rename(file_of(newest_), file_of(newest_).parent_path() / to_file_name(name));
  kill_a_save();
  EXPECT_TRUE(Store::open(path()).verify({}).findings.empty());
  Store store = Store::open(path());
  KeepPolicy policy;
  policy.last = 1;
  store.prune(policy, {});  // unlinks the dead file
  EXPECT_FALSE(std::filesystem::exists(file_of(newest_).parent_path() / to_file_name(name)));
  expect_not_lost();
}

TEST_F(LostCheckpointTest, ARunWhoseDirectoryIsGoneIsNamed) {
  fill();
  std::filesystem::remove_all(path() / "runs" / directory_name_);
  reboot();
  Store store = Store::open(path());
  EXPECT_EQ(store.runs().size(), 1u);
  EXPECT_EQ(store.verify({}).findings.size(), 3u);
}

}  // namespace
}  // namespace ckp
