// Holds of a store and deletions keep each other away.
#include "ckp/hold.h"

#include <gtest/gtest.h>

#include <optional>

#include "engine/store_fixture.h"
#include "support/hooked_file_system.h"

namespace ckp {
namespace {

using test::expect_error;

class HoldOfStoreTest : public test::StoreTest {
 protected:
  void SetUp() override {
    ckp::Run run = store_.create_run(run_options("cnn"));
    for (int epoch = 1; epoch <= 3; ++epoch) saved_.push_back(save(run, epoch));
  }
  Store store_ = Store::create(path());
  std::vector<CheckpointRecord> saved_;
};

TEST_F(HoldOfStoreTest, OnlyDeletionsAreRefused) {
  std::optional<StoreHold> hold = store_.hold();
  std::optional<StoreHold> another = Store::open(path()).hold();
  for (int i = 0; i < 2; ++i) {
    expect_error(ErrorCode::locked, "holds the store", [&] { store_.prune({.last = 1}); });
    expect_error(ErrorCode::locked, "nothing was deleted", [&] {
      store_.remove_checkpoints({&saved_[0].id, 1});
    });
    expect_error(ErrorCode::locked, "holds the store", [&] { store_.remove_run("cnn"); });
    hold.reset();  // the other one is there still
  }
  EXPECT_EQ(store_.plan_prune({.last = 1}).entries.size(), 3u);
  ckp::Run run = store_.resume_run("cnn");
  saved_.push_back(save(run, 4));
  EXPECT_EQ(store_.checkpoints(run.record().id).size(), 4u);
  EXPECT_TRUE(store_.verify({}).findings.empty());
  another.reset();
  store_.prune({.last = 1});
  EXPECT_EQ(store_.checkpoints(run.record().id).size(), 1u);
}

// Between the decision and the last file that is unlinked nobody gets a hold.
TEST_F(HoldOfStoreTest, WaitsForADeletionUnderWay) {
  const auto hooked = std::make_shared<test::HookedFileSystem>();
  Store deleting = Store::open(path(), {.file_system = hooked});
  int unlinked = 0;
  hooked->before = [&](const std::string& operation) {
    if (!operation.starts_with("remove ") || !operation.ends_with(".dead")) return;
    ++unlinked;
    Store other = Store::open(path(), {.lock_timeout_ms = 0});
    expect_error(ErrorCode::locked, "the deletion's lock is held", [&] { other.hold(); });
  };
  deleting.prune({.last = 1});
  EXPECT_EQ(unlinked, 2);
  hooked->before = nullptr;
  store_.hold();
}

}  // namespace
}  // namespace ckp
