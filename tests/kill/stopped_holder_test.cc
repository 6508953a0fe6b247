// A process that is stopped while it holds a lock (Ctrl-Z, a debugger, a frozen container): the
// others say who it is instead of waiting for ever, and go on when it does.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include "engine/store_fixture.h"
#include "index/index_lock.h"
#include "io/host.h"
#include "store/store_lock.h"

namespace ckp {
namespace {

using test::expect_error;

class StoppedHolderTest : public test::StoreTest {
 protected:
  void SetUp() override {
    options_.lock_timeout_ms = 100;
    store_.emplace(Store::create(path(), options_));
    run_.emplace(store_->create_run(run_options("cnn")));
    save(*run_, 1);
  }
  void TearDown() override { end(); }

  // A process that calls `take`, keeps what that returns, and stands still.
  template <class Take>
  void hold(Take take) {
    holder_ = ::fork();
    if (holder_ == 0) {
      const auto held = take();
      ::raise(SIGSTOP);
      ::_exit(0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(holder_, &status, WUNTRACED), holder_);
    ASSERT_TRUE(WIFSTOPPED(status));
  }
  void hold_index(LockKind kind) {
    hold([&] { return IndexLock(*posix_file_system(), path() / "lock", 1000).acquire(kind); });
  }
  void end() {
    if (holder_ <= 0) return;
    ::kill(holder_, SIGKILL);
    ::waitpid(holder_, nullptr, 0);
    holder_ = 0;
  }
  std::string holder() const { return "process " + std::to_string(holder_) + " on " + host_name(); }

  StoreOptions options_;
  std::optional<Store> store_;
  std::optional<ckp::Run> run_;
  pid_t holder_ = 0;
};

TEST_F(StoppedHolderTest, OfTheStore) {
  hold([&] { return StoreLock(*posix_file_system(), StoreLayout{path()}, store_->uuid(), 1000); });
  const KeepPolicy policy{.last = 1};
  expect_error(ErrorCode::locked, holder(), [&] { save(*run_, 2); });
  expect_error(ErrorCode::locked, holder(), [&] { store_->create_run(run_options("other")); });
  expect_error(ErrorCode::locked, holder(), [&] { store_->prune(policy); });
  expect_error(ErrorCode::locked, "store's lock", [&] { store_->rebuild_index(); });
  EXPECT_EQ(store_->runs().size(), 1u);  // reading needs no lock of the store
  ::kill(holder_, SIGCONT);
  ::waitpid(holder_, nullptr, 0);
  holder_ = 0;
  save(*run_, 3);
  EXPECT_EQ(store_->checkpoints(run_->record().id).size(), 2u);
}

TEST_F(StoppedHolderTest, OfTheIndexForWriting) {
  hold_index(LockKind::exclusive);
  expect_error(ErrorCode::locked, holder(), [&] { store_->runs(); });
  expect_error(ErrorCode::locked, "index's lock", [&] { store_->rebuild_index(); });
  // The pack is what counts: the save succeeds, and the index catches up later.
  save(*run_, 2);
  end();
  EXPECT_EQ(store_->checkpoints(run_->record().id).size(), 2u);
}

TEST_F(StoppedHolderTest, OfTheIndexForReading) {
  hold_index(LockKind::shared);
  EXPECT_EQ(store_->runs().size(), 1u);
  save(*run_, 2);  // the index could not be written
  expect_error(ErrorCode::locked, holder(), [&] { store_->runs(); });
  end();
  EXPECT_EQ(store_->checkpoints(run_->record().id).size(), 2u);
}

}  // namespace
}  // namespace ckp
