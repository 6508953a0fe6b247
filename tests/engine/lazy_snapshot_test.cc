// Saves whose copy is made after save() has returned.
#include <gtest/gtest.h>

#include <algorithm>
#include <thread>
#include <vector>

#include "engine/store_fixture.h"
#include "support/child_process.h"
#include "support/held_clock.h"
#include "support/held_file_system.h"

namespace ckp {
namespace {

using test::expect_error;
using test::HeldClock;
using test::SmallState;

class LazySnapshotTest : public test::StoreTest {
 protected:
  LazySnapshotTest() {
    StoreOptions options;
    options.clock = clock_;
    store_.emplace(Store::create(path(), options));
    run_.emplace(store_->create_run({.name = "cnn"}));
  }
  PendingSave begin(const SmallState& state, int epoch) {
    return run_->save(state.dict(),
                      {.epoch = epoch, .step = epoch, .snapshot = SnapshotMode::lazy});
  }
  void expect_holds(int epoch, const SmallState& state) {
    const auto found = store_->find(parse_address("cnn@" + std::to_string(epoch)));
    EXPECT_TRUE(state.is_in(store_->open_checkpoint(found))) << "epoch " << epoch;
  }

  std::shared_ptr<HeldClock> clock_ = std::make_shared<HeldClock>();
  std::optional<Store> store_;
  std::optional<ckp::Run> run_;
};

TEST_F(LazySnapshotTest, SaveReturnsBeforeItHasLookedAtTheState) {
  SmallState state(1);
  clock_->hold();
  PendingSave pending = begin(state, 1);
  EXPECT_FALSE(pending.done());
  state.change(7, 2.0f);  // nobody has read it yet
  const SmallState expected = state;
  clock_->let_go();
  pending.wait_copied();
  state.change(7, 3.0f);
  const SaveReport report = pending.wait();
  EXPECT_GT(report.bytes_copied, 0u);
  expect_holds(1, expected);
}

TEST_F(LazySnapshotTest, WhatChangesAfterTheCopyIsNotInTheCheckpoint) {
  SmallState state(0, 3'000'000);
  for (int epoch = 1; epoch <= 5; ++epoch) {
    state.change(static_cast<std::size_t>(epoch), static_cast<float>(epoch));
    const SmallState expected = state;
    PendingSave pending = begin(state, epoch);
    pending.wait_copied();
    state.change(static_cast<std::size_t>(epoch), -1.0f);
    pending.wait();
    expect_holds(epoch, expected);
  }
}

TEST_F(LazySnapshotTest, TheNextSaveWaitsForTheCopyAndTheyCommitInOrder) {
  const SmallState first(1), second(2);
  clock_->hold();
  PendingSave one = begin(first, 1);
  std::thread release([&] { clock_->let_go(); });
  PendingSave two = run_->save(second.dict(), {.epoch = 2, .step = 2});
  release.join();
  EXPECT_LT(one.wait().checkpoint.commit, two.wait().checkpoint.commit);
  expect_holds(1, first);
  expect_holds(2, second);
}

TEST_F(LazySnapshotTest, WhatGoesWrongInCopyingIsForWaitToTell) {
  const SmallState state(1);
  clock_->fail_once();
  PendingSave failed = begin(state, 1);
  failed.wait_copied();
  for (int i = 0; i < 2; ++i) expect_error(ErrorCode::io, "no time", [&] { failed.wait(); });
  begin(state, 2).wait();
  expect_holds(2, state);
}

TEST_F(LazySnapshotTest, TheNextSaveTellsWhatNobodyWaitedFor) {
  const SmallState state(1);
  clock_->fail_once();
  begin(state, 1).wait_copied();
  expect_error(ErrorCode::io, "no time", [&] { begin(state, 2); });
  begin(state, 3).wait();
  expect_holds(3, state);
}

TEST_F(LazySnapshotTest, FinishAndTheEndOfTheRunWait) {
  const SmallState state(1);
  clock_->hold();
  begin(state, 1);
  std::thread release([&] { clock_->let_go(); });
  run_->finish(RunStatus::completed);
  release.join();
  expect_holds(1, state);

  clock_->hold();
  begin(state, 2);
  std::thread again([&] { clock_->let_go(); });
  run_.reset();
  again.join();
  expect_holds(2, state);
}

TEST_F(LazySnapshotTest, OneThatIsSkippedLetsGoOfTheMemory) {
  const SmallState state(1);
  const auto disk = std::make_shared<test::HeldFileSystem>();
  StoreOptions tight;
  tight.save_memory = 1;
  tight.file_system = disk;
  Store store = Store::open(path(), tight);
  ckp::Run run = store.create_run({.name = "small"});
  SaveOptions options{.epoch = 1, .step = 1, .snapshot = SnapshotMode::lazy};
  disk->hold();
  PendingSave first = run.save(state.dict(), options);
  options.when_busy = WhenBusy::skip;
  PendingSave second = run.save(state.dict(), options);
  second.wait_copied();
  EXPECT_TRUE(second.skipped());
  disk->let_go();
  first.wait();
  EXPECT_TRUE(second.wait().skipped);
  EXPECT_EQ(store.checkpoints(run.record().id).size(), 1u);
}

TEST_F(LazySnapshotTest, WhoChangesTheStateWhileItIsCopiedIsFoundOut) {
  SmallState state(1);
  SaveOptions options{.epoch = 1, .step = 1, .snapshot = SnapshotMode::lazy};
  options.check_unchanged = true;
  clock_->hold();
  PendingSave torn = run_->save(state.dict(), options);
  state.change(7, 2.0f);
  clock_->let_go();
  torn.wait_copied();
  for (const char* part :
       {"lazy save: 2 tensors changed while the state was copied: model/large, model/small;",
        "nothing was saved; call wait_copied()"}) {
    expect_error(ErrorCode::invalid_argument, part, [&] { torn.wait(); });
  }
  EXPECT_TRUE(store_->checkpoints(run_->record().id).empty());

  options.epoch = 2;
  PendingSave whole = run_->save(state.dict(), options);
  whole.wait_copied();
  const SmallState expected = state;
  state.change(7, 3.0f);  // that is fine
  whole.wait();
  expect_holds(2, expected);
}

TEST_F(LazySnapshotTest, MemoryThatIsStillBeingFilledIsWaitedFor) {
  std::vector<float> memory(100);
  float value = 0;
  StateDict state;
  state.add("model/w", contiguous_view(DType::float32, {100}, memory.data()));
  state.when_readable([&] { std::fill(memory.begin(), memory.end(), value); });
  auto expect_value = [&](const Checkpoint& checkpoint) {
    std::vector<float> found(100);
    const std::vector<TensorTarget> targets = {
        {"model/w", DType::float32, {100}, {1}, found.data()}};
    checkpoint.load(targets);
    EXPECT_EQ(found, std::vector<float>(100, value));
  };
  for (const SnapshotMode mode : {SnapshotMode::copied, SnapshotMode::none, SnapshotMode::lazy}) {
    ++value;
    const auto saved = run_->save(state, {.epoch = 1, .step = 1, .snapshot = mode}).wait();
    expect_value(store_->open_checkpoint(saved.checkpoint));
  }
  ++value;
  save_file(path() / "a.ckp", state);
  expect_value(open_file(path() / "a.ckp"));

  state.when_readable([] { throw Error(ErrorCode::io, "the device has failed"); });
  const SaveOptions options{.epoch = 2, .step = 2, .snapshot = SnapshotMode::lazy};
  expect_error(ErrorCode::io, "the device has failed", [&] { run_->save(state, options).wait(); });
  expect_error(ErrorCode::io, "the device has failed",
               [&] { run_->save(state, {.epoch = 2, .step = 2}); });
  EXPECT_EQ(store_->checkpoints(run_->record().id).size(), 3u);
}

TEST_F(LazySnapshotTest, AForkedChildDoesNotWait) {
  const SmallState state(1);
  clock_->hold();
  PendingSave pending = begin(state, 1);
  test::ChildProcess child([&] {
    pending.wait_copied();
    return 0;
  });
  EXPECT_EQ(child.wait(), 0);
  clock_->let_go();
  pending.wait();
  expect_holds(1, state);
}

}  // namespace
}  // namespace ckp
