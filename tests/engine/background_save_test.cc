// Saves that go on after save() has returned.
#include <gtest/gtest.h>

#include <cstring>
#include <thread>

#include "engine/store_fixture.h"
#include "support/child_process.h"
#include "support/held_file_system.h"

namespace ckp {
namespace {

using test::ChildProcess;
using test::expect_error;
using test::HeldFileSystem;
using test::SmallState;

class BackgroundSaveTest : public test::StoreTest {
 protected:
  Store make_store(std::uint64_t save_memory = std::uint64_t{1} << 30) {
    StoreOptions options;
    options.file_system = disk_;
    options.save_memory = save_memory;
    return Store::create(path(), options);
  }
  static PendingSave begin(ckp::Run& run, int epoch, WhenBusy when_busy = WhenBusy::wait) {
    return run.save(SmallState(epoch).dict(),
                    {.epoch = epoch, .step = epoch, .when_busy = when_busy});
  }
  std::vector<std::int64_t> saved_epochs() {
    const Store store = Store::open(path());
    return epochs(store.checkpoints(store.runs().front().id));
  }

  std::shared_ptr<HeldFileSystem> disk_ = std::make_shared<HeldFileSystem>();
};

// Storages of every kind that the chunk layout knows: none, small ones that share a chunk, one
// chunk, several with a rest; views with gaps; two tensors of one storage.
class ManySizes {
 public:
  explicit ManySizes(std::uint32_t chunk) {
    for (const std::size_t size :
         {std::size_t{0}, std::size_t{4}, std::size_t{400}, std::size_t{65'536}, std::size_t{chunk},
          std::size_t{chunk} + 4, std::size_t{3} * chunk + 20}) {
      memory_.emplace_back(size / sizeof(float));
    }
    set(0.0f);
  }
  void set(float first) {
    for (auto& values : memory_) {
      for (float& value : values) value = first++;
    }
  }
  StateDict dict() const {
    StateDict state;
    for (std::size_t i = 0; i < memory_.size(); ++i) {
      const auto count = static_cast<std::int64_t>(memory_[i].size());
      const std::string name = "w" + std::to_string(i);
      state.add(name, contiguous_view(DType::float32, {count}, memory_[i].data()));
      if (count < 8) continue;
      TensorView gaps = contiguous_view(DType::float32, {count}, memory_[i].data());
      gaps.shape = {count / 4};
      gaps.strides = {4};
      gaps.storage_offset = 1;
      state.add(name + ".gaps", gaps);
    }
    return state;
  }
  void expect_in(const Checkpoint& checkpoint) const {
    for (std::size_t i = 0; i < memory_.size(); ++i) {
      const auto bytes = checkpoint.read("w" + std::to_string(i));
      ASSERT_EQ(bytes.size(), memory_[i].size() * sizeof(float));
      EXPECT_TRUE(bytes.empty() || std::memcmp(bytes.data(), memory_[i].data(), bytes.size()) == 0)
          << "tensor " << i;
    }
  }

 private:
  std::vector<std::vector<float>> memory_;
};

TEST_F(BackgroundSaveTest, TheStateMayChangeAsSoonAsSaveHasReturned) {
  constexpr std::uint32_t chunk = 128 << 10;
  Store store = make_store();
  ckp::Run run = store.create_run({.name = "cnn"});
  const ManySizes expected(chunk);
  ManySizes state(chunk);
  disk_->hold();
  SaveOptions options{.epoch = 1, .step = 1};
  options.encode.chunk_size = chunk;
  PendingSave pending = run.save(state.dict(), options);
  EXPECT_FALSE(pending.done());
  state.set(1e6f);
  disk_->let_go();
  const SaveReport& report = pending.wait();
  EXPECT_TRUE(pending.done());
  EXPECT_FALSE(report.checkpoint.nonfinite);
  EXPECT_GE(report.bytes_copied, 5u * chunk);
  expected.expect_in(store.open_checkpoint(report.checkpoint));
}

TEST_F(BackgroundSaveTest, ANaNThatComesAfterSaveIsNotTheCheckpoints) {
  Store store = make_store();
  ckp::Run run = store.create_run({.name = "cnn"});
  ManySizes state(1 << 20);
  disk_->hold();
  PendingSave before = run.save(state.dict(), {.epoch = 1, .step = 1});
  state.set(std::nanf(""));
  PendingSave after = run.save(state.dict(), {.epoch = 2, .step = 2});
  state.set(0.0f);
  disk_->let_go();
  EXPECT_FALSE(before.wait().checkpoint.nonfinite);
  EXPECT_TRUE(after.wait().checkpoint.nonfinite);
}

TEST_F(BackgroundSaveTest, SavesCommitInTheOrderOfTheirCallsAndFinishWaits) {
  Store store = make_store();
  ckp::Run run = store.create_run({.name = "cnn"});
  disk_->hold();
  for (const int epoch : {1, 2, 3, 4}) begin(run, epoch);  // handles dropped
  disk_->let_go();
  run.finish(RunStatus::completed);
  EXPECT_EQ(saved_epochs(), (std::vector<std::int64_t>{1, 2, 3, 4}));
  EXPECT_TRUE(store.verify({.level = VerifyLevel::full}).findings.empty());
}

TEST_F(BackgroundSaveTest, TheEndOfTheRunObjectWaits) {
  Store store = make_store();
  {
    ckp::Run run = store.create_run({.name = "cnn"});
    disk_->hold();
    begin(run, 1);
    disk_->let_go();
  }
  EXPECT_EQ(saved_epochs(), (std::vector<std::int64_t>{1}));
}

TEST_F(BackgroundSaveTest, WaitThrowsWhatWentWrongAndTheNextSaveWorks) {
  Store store = make_store();
  ckp::Run run = store.create_run({.name = "cnn"});
  disk_->fail_once();
  PendingSave failed = begin(run, 1);
  for (int i = 0; i < 2; ++i) {
    expect_error(ErrorCode::out_of_space, "the disk is full", [&] { failed.wait(); });
  }
  begin(run, 2).wait();
  EXPECT_EQ(saved_epochs(), (std::vector<std::int64_t>{2}));
}

TEST_F(BackgroundSaveTest, TheNextSaveThrowsWhatNobodyWaitedForOnce) {
  Store store = make_store();
  ckp::Run run = store.create_run({.name = "cnn"});
  disk_->hold();
  disk_->fail_once();
  begin(run, 1);
  PendingSave second = begin(run, 2);  // before the first has failed
  disk_->let_go();
  second.wait();
  expect_error(ErrorCode::out_of_space, "the disk is full", [&] { begin(run, 3); });
  begin(run, 4).wait();
  run.finish(RunStatus::completed);
  EXPECT_EQ(saved_epochs(), (std::vector<std::int64_t>{2, 4}));
}

TEST_F(BackgroundSaveTest, FinishThrowsItAfterItsWork) {
  Store store = make_store();
  ckp::Run run = store.create_run({.name = "cnn"});
  disk_->fail_once();
  begin(run, 1);
  expect_error(ErrorCode::out_of_space, "the disk is full",
               [&] { run.finish(RunStatus::completed); });
  EXPECT_EQ(store.run("cnn").status, RunStatus::completed);
}

TEST_F(BackgroundSaveTest, TheDestructorSaysIt) {
  Store store = make_store();
  testing::internal::CaptureStderr();
  {
    ckp::Run run = store.create_run({.name = "cnn"});
    disk_->fail_once();
    begin(run, 1);
  }
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_NE(text.find("run cnn: a save that nobody waited for has failed: the disk is full"),
            std::string::npos)
      << text;
}

TEST_F(BackgroundSaveTest, WithoutMemoryASaveIsSkippedOrWaits) {
  Store store = make_store(1);
  ckp::Run run = store.create_run({.name = "cnn"});
  disk_->hold();
  PendingSave first = begin(run, 1);  // larger than all the memory, but alone
  PendingSave skipped = begin(run, 2, WhenBusy::skip);
  EXPECT_TRUE(skipped.skipped());
  EXPECT_TRUE(skipped.wait().skipped);
  EXPECT_TRUE(run.save(SmallState(3).dict(), {.epoch = 3, .busy_timeout_ms = 0}).skipped());
  std::jthread other([&] { disk_->let_go(); });
  PendingSave second = begin(run, 4);
  EXPECT_TRUE(first.done());
  EXPECT_FALSE(first.skipped());
  second.wait();
  EXPECT_EQ(saved_epochs(), (std::vector<std::int64_t>{1, 4}));
}

TEST_F(BackgroundSaveTest, SynchronousSavesCopyNothingAndKeepTheOrder) {
  Store store = make_store();
  ckp::Run run = store.create_run({.name = "cnn"});
  begin(run, 1);
  const SmallState state(2);
  PendingSave done =
      run.save(state.dict(), {.epoch = 2, .step = 2, .snapshot = SnapshotMode::none});
  EXPECT_TRUE(done.done());
  EXPECT_EQ(done.wait().bytes_copied, 0u);
  EXPECT_EQ(saved_epochs(), (std::vector<std::int64_t>{1, 2}));
  disk_->fail_once();
  expect_error(ErrorCode::out_of_space, "the disk is full", [&] {
    run.save(state.dict(), {.epoch = 3, .step = 3, .snapshot = SnapshotMode::none});
  });
}

TEST_F(BackgroundSaveTest, BadOptionsAreRefusedBeforeAnythingIsDone) {
  Store store = make_store();
  ckp::Run run = store.create_run({.name = "cnn"});
  expect_error(ErrorCode::invalid_argument, "neither may be negative", [&] { begin(run, -1); });
  SaveOptions options{.epoch = 1};
  options.encode.chunk_size = 1000;
  expect_error(ErrorCode::invalid_argument, "chunk_size is 1000",
               [&] { run.save(SmallState(1).dict(), options); });
}

TEST_F(BackgroundSaveTest, MetricsAreLoggedMeanwhile) {
  Store store = make_store();
  ckp::Run run = store.create_run({.name = "cnn"});
  for (int epoch = 1; epoch <= 5; ++epoch) {
    begin(run, epoch);
    for (int i = 0; i < 50; ++i) run.log(epoch, i, {{"loss", 0.5}});
  }
  run.finish(RunStatus::completed);
  EXPECT_EQ(saved_epochs().size(), 5u);
  // The mark in each manifest agrees with the journal.
  EXPECT_TRUE(store.verify({.level = VerifyLevel::full}).findings.empty());
}

TEST_F(BackgroundSaveTest, AForkedChildHasNoPartInIt) {
  Store store = make_store();
  std::optional<ckp::Run> run = store.create_run({.name = "cnn"});
  disk_->hold();
  std::optional<PendingSave> pending = begin(*run, 1);
  ChildProcess child([&] {
    int wrong = 0;
    const auto refused = [&](auto call) {
      try {
        call();
        ++wrong;
      } catch (const Error& error) {
        if (error.code() != ErrorCode::invalid_argument) ++wrong;
      }
    };
    refused([&] { begin(*run, 2); });
    refused([&] { pending->wait(); });
    refused([&] { run->log(1, 1, {}); });
    refused([&] { run->finish(RunStatus::failed); });
    pending.reset();
    run.reset();
    return wrong;
  });
  EXPECT_EQ(child.wait(), 0);
  disk_->let_go();
  pending->wait();
  run->finish(RunStatus::completed);
  EXPECT_EQ(saved_epochs(), (std::vector<std::int64_t>{1}));
}

}  // namespace
}  // namespace ckp
