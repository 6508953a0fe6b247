// Saves that neither copy nor store what has not changed since the last committed one.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <optional>

#include "engine/sample_states.h"
#include "engine/store_fixture.h"
#include "support/seed.h"

namespace ckp {
namespace {

using test::expect_error;
using test::random_bytes;
using test::view_of;

constexpr std::uint32_t small_chunk = 64 << 10;

// A frozen backbone of three chunks and a rest, an adapter of one chunk, a few small tensors.
class UnchangedChunksTest : public test::StoreTest {
 protected:
  StateDict dict() const {
    StateDict state;
    state.add("backbone", floats(backbone_));
    state.add("head", floats(head_));
    state.add("step", floats(step_));
    return state;
  }
  SaveReport save_all(ckp::Run& run, SnapshotMode mode = SnapshotMode::copied) {
    ++epoch_;
    SaveOptions options{.epoch = epoch_, .step = epoch_, .snapshot = mode};
    options.encode.chunk_size = small_chunk;
    return run.save(dict(), options).wait();
  }
  void expect_loads(const SaveReport& report) {
    const Checkpoint checkpoint = store_.open_checkpoint(report.checkpoint);
    for (const auto& [name, bytes] : {std::pair("backbone", &backbone_), std::pair("head", &head_),
                                      std::pair("step", &step_)}) {
      EXPECT_TRUE(checkpoint.read(name) == *bytes) << name << " of epoch " << epoch_;
    }
  }
  void expect_sound() {
    const auto report = store_.verify({.level = VerifyLevel::full});
    for (const auto& finding : report.findings) ADD_FAILURE() << finding.message;
  }
  static TensorView floats(const std::vector<std::byte>& memory) {
    return view_of(memory, DType::float32, {static_cast<std::int64_t>(memory.size() / 4)}, {1});
  }
  // Finite, and of no two equal chunks.
  static std::vector<std::byte> values(std::size_t count, float first) {
    std::vector<std::byte> bytes(count * sizeof(float));
    for (std::size_t i = 0; i < count; ++i) {
      const float value = first + static_cast<float>(i);
      std::memcpy(bytes.data() + i * sizeof value, &value, sizeof value);
    }
    return bytes;
  }
  std::filesystem::path file_of(const CheckpointRecord& checkpoint) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path() / "runs")) {
      if (entry.path().filename().string().find(checkpoint.id.short_hex()) != std::string::npos) {
        return entry.path();
      }
    }
    ADD_FAILURE() << "no file of " << checkpoint.id.hex();
    return {};
  }

  Store store_ = Store::create(path());
  std::vector<std::byte> backbone_ = values(std::size_t{3} * small_chunk / 4 + 1000, 0.5f);
  std::vector<std::byte> head_ = values(small_chunk / 4, -1e5f);
  std::vector<std::byte> step_ = values(1, 1.0f);
  int epoch_ = 0;
};

TEST_F(UnchangedChunksTest, OnlyWhatHasChangedIsCopiedAndStored) {
  ckp::Run run = store_.create_run({.name = "lora"});
  const SaveReport first = save_all(run);
  EXPECT_EQ(first.bytes_copied, backbone_.size() + head_.size() + step_.size());
  for (const std::size_t at : {0u, 1000u, 2000u}) {
    head_[at] ^= std::byte{1};
    const SaveReport later = save_all(run);
    EXPECT_EQ(later.bytes_copied, head_.size());
    EXPECT_EQ(later.chunks_written, 0u);
    EXPECT_EQ(later.patches_written, 1u);
    EXPECT_EQ(later.bytes_shared, first.bytes_copied - 256);  // a row
    expect_loads(later);
  }
  EXPECT_EQ(save_all(run).bytes_copied, 0u);
  expect_sound();
}

TEST_F(UnchangedChunksTest, AChangedBitIsSeenWhereverItIs) {
  ckp::Run run = store_.create_run({.name = "lora"});
  save_all(run);
  const std::uint64_t seed = test::seed(29);
  std::mt19937_64 random(seed);
  std::vector<std::size_t> places = {
      0, 4095, 4096, small_chunk - 1, small_chunk, backbone_.size() - 1};
  for (int i = 0; i < 40; ++i) places.push_back(random() % backbone_.size());
  for (const std::size_t at : places) {
    backbone_[at] ^= std::byte{1};  // of a mantissa, or an exponent that stays finite
    const SaveReport report = save_all(run);
    const std::size_t begin = at / small_chunk * small_chunk;
    EXPECT_EQ(report.bytes_copied, std::min<std::size_t>(small_chunk, backbone_.size() - begin))
        << at;
    expect_loads(report);
  }
}

TEST_F(UnchangedChunksTest, TheStateMayChangeAsSoonAsSaveHasReturned) {
  ckp::Run run = store_.create_run({.name = "lora"});
  save_all(run);
  head_[5] ^= std::byte{1};
  SaveOptions options{.epoch = 7, .step = 7};
  options.encode.chunk_size = small_chunk;
  PendingSave pending = run.save(dict(), options);
  const auto backbone = backbone_;
  const auto head = head_;
  std::fill(backbone_.begin(), backbone_.end(), std::byte{});
  std::fill(head_.begin(), head_.end(), std::byte{});
  const Checkpoint checkpoint = store_.open_checkpoint(pending.wait().checkpoint);
  EXPECT_TRUE(checkpoint.read("backbone") == backbone);
  EXPECT_TRUE(checkpoint.read("head") == head);
}

TEST_F(UnchangedChunksTest, SynchronousSavesDoNotStoreItAgainEither) {
  ckp::Run run = store_.create_run({.name = "lora"});
  save_all(run, SnapshotMode::none);
  head_[5] ^= std::byte{1};
  const SaveReport report = save_all(run, SnapshotMode::none);
  EXPECT_EQ(report.chunks_written, 0u);
  EXPECT_EQ(report.patches_written, 1u);
  expect_loads(report);
}

TEST_F(UnchangedChunksTest, AnotherNameOrTypeIsAnotherPlace) {
  ckp::Run run = store_.create_run({.name = "lora"});
  const SaveReport first = save_all(run);
  StateDict renamed;
  renamed.add("backbone2", floats(backbone_));
  renamed.add("head", view_of(head_, DType::int32, {small_chunk / 4}, {1}));
  SaveOptions options{.epoch = 2, .step = 2};
  options.encode.chunk_size = small_chunk;
  const SaveReport report = run.save(renamed, options).wait();
  EXPECT_EQ(report.bytes_copied, backbone_.size() + head_.size());
  EXPECT_EQ(report.chunks_written, 0u);  // the bytes are found all the same
  EXPECT_TRUE(store_.open_checkpoint(report.checkpoint).read("backbone2") == backbone_);
}

TEST_F(UnchangedChunksTest, ANaNStaysKnown) {
  const float nan = std::nanf("");
  std::memcpy(backbone_.data() + small_chunk + 40, &nan, sizeof nan);
  ckp::Run run = store_.create_run({.name = "lora"});
  EXPECT_TRUE(save_all(run).checkpoint.nonfinite);
  head_[5] ^= std::byte{1};
  EXPECT_TRUE(save_all(run).checkpoint.nonfinite);
  const float one = 1.0f;
  std::memcpy(backbone_.data() + small_chunk + 40, &one, sizeof one);
  EXPECT_FALSE(save_all(run).checkpoint.nonfinite);
}

TEST_F(UnchangedChunksTest, WhatWasComparedWithMayBePrunedMeanwhile) {
  std::optional<ckp::Run> run = store_.create_run({.name = "lora"});
  const SaveReport first = save_all(*run);
  store_.remove_checkpoints({&first.checkpoint.id, 1});
  EXPECT_FALSE(std::filesystem::exists(first.path));
  const SaveReport second = save_all(*run);
  EXPECT_EQ(second.bytes_copied, 0u);
  EXPECT_EQ(second.chunks_shared, 0u);
  expect_loads(second);
  EXPECT_EQ(save_all(*run).chunks_written, 0u);
  expect_sound();
}

// A save that comes after the damage is told of it sooner or later, and the next one stores anew.
TEST_F(UnchangedChunksTest, DamageInWhatIsSharedIsFound) {
  ckp::Run run = store_.create_run({.name = "lora"});
  const SaveReport first = save_all(run);
  auto bytes = test::read_bytes(file_of(first.checkpoint));
  bytes[bytes.size() / 2] ^= std::byte{1};  // of a chunk's payload
  test::write_bytes(file_of(first.checkpoint), bytes);
  expect_error(ErrorCode::corrupt, "the next save", [&] { save_all(run); });
  const SaveReport healed = save_all(run);
  EXPECT_EQ(healed.bytes_copied, backbone_.size() + head_.size() + step_.size());
  expect_loads(healed);
}

}  // namespace
}  // namespace ckp
