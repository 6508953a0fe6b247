#include <gtest/gtest.h>

#include "ckp/load.h"
#include "engine/sample_states.h"
#include "load/open_pack.h"
#include "save/state_writer.h"
#include "support/expect_error.h"
#include "support/sanitizer.h"
#include "support/temporary_directory.h"

namespace ckp {
namespace {

using test::expect_error;
using test::view_of;

class CheckpointTest : public ::testing::Test {
 protected:
  Checkpoint save_and_open(std::uint32_t chunk_size = 4096) {
    SaveOptions options;
    options.encode.chunk_size = chunk_size;
    save_file(path_, state_, options);
    return open_file(path_);
  }

  test::TemporaryDirectory directory_;
  std::filesystem::path path_ = directory_ / "a.ckp";
  std::vector<std::byte> weight_ = test::random_bytes(64'000, 1);
  std::vector<std::byte> bias_ = test::random_bytes(64, 2);
  StateDict state_;

  void SetUp() override {
    state_.add("model/fc1.bias", view_of(bias_, DType::float32, {16}, {1}));
    state_.add("model/fc1.weight", view_of(weight_, DType::float32, {100, 160}, {160, 1}));
    state_.add("model/tied", view_of(weight_, DType::float32, {16'000}, {1}));
  }
};

TEST_F(CheckpointTest, LoadsIntoStridesOfTheTargetsOwn) {
  const auto checkpoint = save_and_open();
  std::vector<std::byte> transposed(weight_.size()), spread(3 * weight_.size(), std::byte{9});
  std::vector<std::byte> tied(weight_.size());
  const std::vector<TensorTarget> targets{
      {"model/fc1.weight", DType::float32, {100, 160}, {1, 100}, transposed.data()},
      {"model/fc1.weight", DType::float32, {100, 160}, {480, 3}, spread.data()},
      {"model/tied", DType::float32, {16'000}, {1}, tied.data()}};
  for (const unsigned threads : {1u, 2u, 8u}) {
    checkpoint.load(targets, {threads});
    EXPECT_TRUE(tied == weight_);
    EXPECT_TRUE(test::elements_of(view_of(transposed, DType::float32, {100, 160}, {1, 100})) ==
                weight_);
    EXPECT_TRUE(test::elements_of(view_of(spread, DType::float32, {100, 160}, {480, 3})) ==
                weight_);
    for (std::size_t i = 0; i < spread.size(); ++i) {
      ASSERT_TRUE(i % 12 < 4 || spread[i] == std::byte{9}) << "wrote between elements: " << i;
    }
  }
}

TEST_F(CheckpointTest, TiedTargetsInOneMemory) {
  const auto checkpoint = save_and_open();
  std::vector<std::byte> memory(weight_.size());
  checkpoint.load(std::vector<TensorTarget>{
      {"model/fc1.weight", DType::float32, {100, 160}, {160, 1}, memory.data()},
      {"model/tied", DType::float32, {16'000}, {1}, memory.data()}});
  EXPECT_TRUE(memory == weight_);
}

TEST_F(CheckpointTest, ReadsStorages) {
  const auto checkpoint = save_and_open();
  const auto& manifest = checkpoint.manifest();
  ASSERT_EQ(manifest.storages.size(), 2u);
  EXPECT_EQ(manifest.find("model/tied")->storage, manifest.find("model/fc1.weight")->storage);
  EXPECT_TRUE(checkpoint.read_storage(manifest.find("model/tied")->storage) == weight_);
  EXPECT_TRUE(checkpoint.read_storage(manifest.find("model/fc1.bias")->storage) == bias_);
  expect_error(ErrorCode::invalid_argument, "storage 2 was asked for, there are 2",
               [&] { checkpoint.read_storage(2); });
}

TEST_F(CheckpointTest, ChecksAllTargetsBeforeItTouchesOne) {
  const auto checkpoint = save_and_open();
  std::vector<std::byte> bias(bias_.size()), weight(weight_.size());
  const auto load = [&](const TensorTarget& second) {
    checkpoint.load(std::vector<TensorTarget>{
        {"model/fc1.bias", DType::float32, {16}, {1}, bias.data()}, second});
  };
  TensorTarget target{"model/fc1.weight", DType::float32, {100, 160}, {160, 1}, weight.data()};
  auto bad = target;
  bad.shape = {100, 161};
  expect_error(ErrorCode::mismatch,
               "model/fc1.weight: expected shape [100, 161] float32, the checkpoint has "
               "[100, 160] float32",
               [&] { load(bad); });
  bad = target;
  bad.dtype = DType::int32;
  expect_error(ErrorCode::mismatch,
               "expected shape [100, 160] int32, the checkpoint has [100, 160] float32",
               [&] { load(bad); });
  bad = target;
  bad.name = "model/fc1.wieght";
  expect_error(ErrorCode::not_found,
               "a.ckp: no tensor model/fc1.wieght; the closest name is model/fc1.weight",
               [&] { load(bad); });
  bad = target;
  bad.strides = {160};
  expect_error(ErrorCode::invalid_argument, "target model/fc1.weight: 1 strides for 2 dimensions",
               [&] { load(bad); });
  bad.strides = {160, -1};
  expect_error(ErrorCode::invalid_argument, "dimension 1 has stride -1", [&] { load(bad); });
  bad.strides = {0, 1};
  expect_error(ErrorCode::invalid_argument, "dimension 0 has stride 0", [&] { load(bad); });
  bad = target;
  bad.data = nullptr;
  expect_error(ErrorCode::invalid_argument, "data is null", [&] { load(bad); });
  EXPECT_TRUE(bias == std::vector<std::byte>(bias.size())) << "a target was written";
  load(target);
  EXPECT_TRUE(bias == bias_);
}

TEST_F(CheckpointTest, ReadOfAnUnknownNameSuggestsOne) {
  const auto checkpoint = save_and_open();
  expect_error(ErrorCode::not_found, "no tensor model/tide; the closest name is model/tied",
               [&] { checkpoint.read("model/tide"); });
  const auto file = directory_ / "b.ckp";
  save_file(file, StateDict());
  expect_error(ErrorCode::not_found, "no tensor w", [&] { open_file(file).read("w"); });
}

TEST_F(CheckpointTest, DamageNamesFileChunkOffsetAndTensors) {
  const auto checkpoint = save_and_open();
  auto bytes = test::read_bytes(path_);
  // The storage of the weights: chunk 3, a few bytes into it.
  const auto* needle = weight_.data() + 3 * 4096 + 100;
  const auto at = std::search(bytes.begin(), bytes.end(), needle, needle + 32);
  ASSERT_NE(at, bytes.end()) << "random bytes are stored as they are";
  *at ^= std::byte{0x10};
  test::write_bytes(path_, bytes);
  const auto damaged = open_file(path_);
  const auto expect_damage = [&](auto&& action) {
    expect_error(ErrorCode::corrupt, "a.ckp: chunk 3 at offset ", action);
    expect_error(ErrorCode::corrupt, "; hits tensor model/fc1.weight and 1 other", action);
  };
  expect_damage([&] { damaged.read("model/tied"); });
  expect_damage([&] { damaged.read_storage(damaged.manifest().find("model/tied")->storage); });
  EXPECT_TRUE(damaged.read("model/fc1.bias") == bias_) << "the rest stays readable";
}

TEST_F(CheckpointTest, PartsOfADamagedStorageStayReadable) {
  state_.add("model/first_row", view_of(weight_, DType::float32, {160}, {1}));
  save_and_open();
  auto bytes = test::read_bytes(path_);
  const auto* needle = weight_.data() + 5 * 4096;
  const auto at = std::search(bytes.begin(), bytes.end(), needle, needle + 32);
  ASSERT_NE(at, bytes.end());
  *at ^= std::byte{1};
  test::write_bytes(path_, bytes);
  const auto damaged = open_file(path_);
  EXPECT_TRUE(damaged.read("model/first_row") ==
              std::vector<std::byte>(weight_.begin(), weight_.begin() + 640));
  expect_error(ErrorCode::corrupt, "hits tensor", [&] { damaged.read("model/tied"); });
}

// Says that every chunk is stored in another pack.
class ElsewhereFinder final : public ChunkFinder {
 public:
  explicit ElsewhereFinder(const Checkpoint& other) : other_(other) {}
  std::vector<std::vector<format::ChunkReference>> find(std::span<const Digest> digests,
                                                        std::span<const std::uint32_t>) override {
    std::vector<std::vector<format::ChunkReference>> answers(digests.size());
    for (std::size_t i = 0; i < digests.size(); ++i) {
      for (auto reference : other_.manifest().references) {
        if (reference.raw_digest != digests[i]) continue;
        reference.address.pack = other_.record().id;
        answers[i].push_back(reference);
      }
    }
    return answers;
  }
  bool read(const format::ChunkReference& reference, std::span<std::byte> out) override {
    const auto& manifest = other_.manifest();
    for (std::uint32_t i = 0; i < manifest.storages.size(); ++i) {
      for (std::uint64_t at = 0; const auto& piece : manifest.storages[i].pieces) {
        if (manifest.references[piece.reference].address.number == reference.address.number &&
            piece.length == out.size()) {
          const auto bytes = other_.read_storage(i);
          std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), out.size(), out.begin());
          return true;
        }
        at += piece.length;
      }
    }
    return false;
  }
  bool is_live(const format::ChunkReference&) override { return false; }
  void read_unchanged(const format::ChunkReference&, std::span<std::byte>) override {
    throw Error(ErrorCode::not_found, "nothing was compared");
  }

 private:
  const Checkpoint& other_;
};

class TwoPacksTest : public CheckpointTest {
 protected:
  void SetUp() override {
    CheckpointTest::SetUp();
    const auto first = save_and_open();
    first_id_ = first.record().id;
    ElsewhereFinder finder(first);
    std::vector<std::byte> bytes;
    format::PackHeader header;
    header.uuid.bytes.fill(std::byte{0x22});
    header.may_use.refuse = format::feature::external_references;
    format::PackWriter writer(
        [&](std::span<const std::byte> more) {
          bytes.insert(bytes.end(), more.begin(), more.end());
        },
        header);
    EncodeOptions options;
    options.chunk_size = 4096;
    auto written = write_state(state_, writer, &finder, options);
    EXPECT_EQ(written.chunks_written, 0u);
    writer.finish({&written.manifest, 1});
    test::write_bytes(second_path_, bytes);
  }

  std::filesystem::path second_path_ = directory_ / "second.ckp";
  Uuid first_id_;
};

TEST_F(TwoPacksTest, OpenFileSaysHowToMakeItStandalone) {
  expect_error(ErrorCode::invalid_argument, "second.ckp: not a standalone file",
               [&] { open_file(second_path_); });
  expect_error(ErrorCode::invalid_argument,
               "1 other pack of its store: " + first_id_.hex() +
                   "; run: ckptool convert STORE ADDRESS OUT.ckp",
               [&] { open_file(second_path_); });
}

TEST_F(TwoPacksTest, ReadsAcrossPacks) {
  auto parts = std::make_shared<Checkpoint::Parts>();
  OpenPack second = open_pack(*posix_file_system(), second_path_);
  parts->manifest = format::read_manifest(*second.source, second.directory);
  parts->record = describe(second, parts->manifest, 7);
  parts->name = second_path_.string();
  parts->packs.emplace(second.directory.header.uuid, second);
  EXPECT_EQ(parts->record.commit, 7u);
  EXPECT_EQ(parts->record.id, second.directory.header.uuid);
  EXPECT_EQ(parts->record.tensor_bytes, weight_.size() + bias_.size());

  const Checkpoint incomplete(parts);
  expect_error(ErrorCode::corrupt, "lies in pack " + first_id_.hex() + ", which is missing",
               [&] { incomplete.read("model/tied"); });
  auto complete = std::make_shared<Checkpoint::Parts>(*parts);
  complete->packs.emplace(first_id_, open_pack(*posix_file_system(), path_));
  test::expect_holds(Checkpoint(complete), state_);

  // The manifest's digest decides, not what the other pack says about itself.
  auto other = std::make_shared<Checkpoint::Parts>(*complete);
  other->manifest.references[0].raw_digest.low ^= 1;
  expect_error(ErrorCode::corrupt, "a.ckp: chunk 0 at offset ", [&] {
    const Checkpoint checkpoint(other);
    checkpoint.read("model/tied");
    checkpoint.read("model/fc1.bias");
  });
}

// One stored element, repeated 2^44 times by a stride of 0.
TEST_F(CheckpointTest, ATinyFileThatClaimsMoreThanAnyMemoryIsRefusedAsAnError) {
  if (test::sanitized) GTEST_SKIP() << "a sanitizer ends a process whose operator new fails";
  const float one = 1;
  TensorView huge = contiguous_view(DType::float32, {1}, &one);
  huge.shape = {std::int64_t{1} << 44};
  huge.strides = {0};
  StateDict state;
  state.add("model/w", huge);
  save_file(path_, state);
  EXPECT_LT(std::filesystem::file_size(path_), 100'000u);
  const Checkpoint checkpoint = open_file(path_);
  EXPECT_THROW(checkpoint.read("model/w"), Error);  // and no std::bad_alloc
}

}  // namespace
}  // namespace ckp
