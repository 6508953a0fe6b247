// Saves of tensors that have changed as a whole, by little: what is stored is the differences.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>

#include "ckp/compare.h"
#include "ckp/convert.h"
#include "ckp/stats.h"
#include "ckp/verify.h"
#include "engine/sample_states.h"
#include "engine/store_fixture.h"
#include "support/seed.h"

namespace ckp {
namespace {

using test::expect_error;
using test::expect_holds;
using test::random_bytes;
using test::view_of;
using Bytes = std::vector<std::byte>;

// float32 weights in 7 chunks, views of them, noise of one chunk that no difference helps, and a
// bias that shares a chunk.
class DifferencesTest : public test::StoreTest {
 protected:
  DifferencesTest() {
    for (float& weight : weights_) weight = normal_(random_) * 0.02f;
  }
  // Each weight moves a little; the noise is other noise.
  void train() {
    for (float& weight : weights_) weight *= 1.0f + 1e-3f * normal_(random_);
    noise_ = random_bytes(noise_.size(), random_());
    bias_[0] = static_cast<std::byte>(random_());
  }
  StateDict dict() const {
    StateDict state;
    const auto count = static_cast<std::int64_t>(weights_.size());
    TensorView weights = contiguous_view(DType::float32, {count / 100, 100}, weights_.data());
    TensorView columns = weights;
    columns.shape = {100, count / 100};
    columns.strides = {1, 100};
    TensorView odd = weights;  // begins and ends inside of chunks, and of elements
    odd.dtype = DType::uint8;
    odd.shape = {200'003};
    odd.strides = {1};
    odd.storage_offset = 65'533;
    state.add("weights", weights);
    state.add("columns", columns);
    state.add("odd", odd);
    const auto size = static_cast<std::int64_t>(noise_.size());
    state.add("noise", view_of(noise_, DType::int32, {size / 4}, {1}));
    state.add("bias", view_of(bias_, DType::float32, {100}, {1}));
    return state;
  }
  PendingSave start(ckp::Run& run) {
    ++epoch_;
    SaveOptions options{.epoch = epoch_, .step = epoch_, .encode = encode_};
    return run.save(dict(), options);
  }
  SaveReport save_all(ckp::Run& run) { return start(run).wait(); }
  SaveReport train_and_save(ckp::Run& run) {
    train();
    return save_all(run);
  }
  Checkpoint open(const SaveReport& report) { return store_.open_checkpoint(report.checkpoint); }
  void expect_loads(const SaveReport& report) { expect_holds(open(report), dict()); }
  void expect_sound() {
    const auto report = store_.verify({.level = VerifyLevel::full});
    for (const auto& finding : report.findings) ADD_FAILURE() << finding.message;
  }
  static std::uint64_t raw_size_needed(const Checkpoint& checkpoint) {
    std::uint64_t size = 0;
    for (const auto& reference : checkpoint.manifest().references) size += reference.raw_size;
    return size;
  }
  // Of each piece.
  static std::size_t deepest(const Checkpoint& checkpoint) {
    std::map<std::pair<std::uint32_t, std::uint32_t>, std::size_t> depth;
    std::size_t most = 0;
    for (const format::Difference& each : checkpoint.manifest().differences) {
      most = std::max(most, ++depth[{each.storage, each.piece}]);
    }
    return most;
  }
  // Changes a bit in the middle of the stored bytes of the largest chunk of a pack.
  static void damage(const SaveReport& report) {
    Bytes file = test::read_bytes(report.path);
    const FileSource source(
        std::shared_ptr<const File>(posix_file_system()->open(report.path, OpenMode::read)));
    const auto directory = format::read_directory(source);
    const auto largest =
        std::ranges::max_element(directory.chunks, {}, &format::TableEntry::stored_size);
    file[largest->offset + format::RecordHeader::size + largest->stored_size / 2] ^= std::byte{4};
    test::write_bytes(report.path, file);
  }

  static constexpr std::uint64_t weight_chunks = 7;
  Store store_ = Store::create(path());
  std::mt19937_64 random_{test::seed(61)};
  std::normal_distribution<float> normal_;
  std::vector<float> weights_ = std::vector<float>(100'000);
  Bytes noise_ = random_bytes(64 << 10, 1);
  Bytes bias_ = Bytes(400);
  EncodeOptions encode_{.chunk_size = 64 << 10};
  int epoch_ = 0;
};

TEST_F(DifferencesTest, WhatHasChangedByLittleIsStoredAsDifferences) {
  ckp::Run run = store_.create_run({.name = "dense"});
  const SaveReport first = save_all(run);
  EXPECT_EQ(first.differences_written, 0u);
  EXPECT_TRUE(open(first).manifest().differences.empty());
  for (std::size_t depth = 1; depth <= 2; ++depth) {
    const SaveReport later = train_and_save(run);
    EXPECT_EQ(later.differences_written, weight_chunks);
    EXPECT_EQ(later.patches_written, 0u);
    EXPECT_EQ(later.chunks_written, 2u);
    EXPECT_LT(later.bytes_written, first.bytes_written * 9 / 10);
    EXPECT_EQ(open(later).manifest().differences.size(), depth * weight_chunks);
    expect_loads(later);
  }
  const SaveReport whole = train_and_save(run);
  EXPECT_EQ(whole.differences_written, 0u);
  EXPECT_TRUE(open(whole).manifest().differences.empty());
  expect_loads(whole);
  expect_sound();
}

TEST_F(DifferencesTest, TheyAreNeverMoreThanTwoAndDoNotAllEndTogether) {
  ckp::Run run = store_.create_run({.name = "dense"});
  const std::uint64_t whole = raw_size_needed(open(save_all(run)));
  for (int i = 1; i < 40; ++i) {
    const SaveReport report = train_and_save(run);
    const Checkpoint checkpoint = open(report);
    EXPECT_LE(deepest(checkpoint), 2u);
    EXPECT_LE(raw_size_needed(checkpoint), 3 * whole);
    if (i > 8) {
      EXPECT_GT(report.differences_written, 0u) << i;
    }
    expect_holds(checkpoint, dict());
  }
  expect_sound();
}

TEST_F(DifferencesTest, WhatDoesNotChangeAgainKeepsThem) {
  ckp::Run run = store_.create_run({.name = "dense"});
  save_all(run);
  const SaveReport changed = train_and_save(run);
  const SaveReport same = save_all(run);
  EXPECT_EQ(same.chunks_written + same.differences_written, 0u);
  EXPECT_EQ(open(same).manifest().differences.size(), weight_chunks);
  expect_loads(same);
  weights_[5] += 1;  // one row, and no patch on a difference
  const SaveReport row = save_all(run);
  EXPECT_EQ(row.patches_written, 0u);
  EXPECT_EQ(row.differences_written, 1u);
  expect_loads(row);
  expect_sound();
}

TEST_F(DifferencesTest, OnlyWhereTheyAreWanted) {
  ckp::Run run = store_.create_run({.name = "dense"});
  save_all(run);
  using format::Compression;
  for (const Compression level : {Compression::none, Compression::fast, Compression::balanced}) {
    encode_.compression = level;
    encode_.differences = level != Compression::balanced;
    EXPECT_EQ(train_and_save(run).differences_written, 0u);
  }
  encode_ = {.compression = Compression::archive, .chunk_size = encode_.chunk_size};
  const SaveReport report = train_and_save(run);
  EXPECT_EQ(report.differences_written, weight_chunks);
  expect_loads(report);
}

TEST_F(DifferencesTest, PruningKeepsWhatTheyStandOn) {
  ckp::Run run = store_.create_run({.name = "dense"});
  save_all(run);
  for (int i = 0; i < 8; ++i) {
    const SaveReport last = train_and_save(run);
    store_.prune({.last = 1}, {}, {.waste_threshold = 0.01});
    expect_loads(last);
    expect_sound();
    const StoreStats stats = store_.stats();
    const NeededBytes& needed = stats.needed;
    EXPECT_EQ(needed.raw - needed.shared + needed.filler + needed.patches - needed.compressed,
              needed.stored);
  }
  EXPECT_EQ(store_.checkpoints(store_.run("dense").id).size(), 1u);
}

TEST_F(DifferencesTest, WhatTheyWouldStandOnMayBePrunedMeanwhile) {
  ckp::Run run = store_.create_run({.name = "dense"});
  save_all(run);
  train_and_save(run);
  for (const bool change : {false, true}) {
    std::vector<Uuid> all;
    for (const auto& checkpoint : store_.checkpoints(store_.run("dense").id))
      all.push_back(checkpoint.id);
    store_.remove_checkpoints(all);
    if (change) train();
    const SaveReport report = save_all(run);
    EXPECT_EQ(report.differences_written, 0u);
    EXPECT_TRUE(open(report).manifest().differences.empty());
    expect_loads(report);
    expect_sound();
    EXPECT_EQ(train_and_save(run).differences_written, weight_chunks);
  }
}

TEST_F(DifferencesTest, NothingIsBuiltOnDamage) {
  ckp::Run run = store_.create_run({.name = "dense"});
  noise_.clear();
  const SaveReport first = save_all(run);
  damage(first);
  const SaveReport second = train_and_save(run);
  EXPECT_EQ(second.differences_written, weight_chunks - 1);
  expect_loads(second);
  damage(second);
  const SaveReport third = train_and_save(run);
  expect_loads(third);
}

TEST_F(DifferencesTest, ADamagedOneIsNamed) {
  ckp::Run run = store_.create_run({.name = "dense"});
  const SaveReport first = save_all(run);
  const Bytes before = open(first).read("weights");
  noise_.clear();
  const SaveReport second = train_and_save(run);
  damage(second);
  expect_error(ErrorCode::corrupt, "hits tensor", [&] { open(second).read("weights"); });
  EXPECT_TRUE(open(second).read("bias") == bias_);
  EXPECT_TRUE(open(first).read("weights") == before);
  const VerifyReport report = store_.verify({});
  ASSERT_EQ(report.findings.size(), 1u);
  EXPECT_EQ(report.findings[0].tensor, "columns");
  EXPECT_GE(report.findings[0].more_tensors, 1u);
}

TEST_F(DifferencesTest, SavesInFlight) {
  ckp::Run run = store_.create_run({.name = "dense"});
  save_all(run);
  std::vector<std::pair<PendingSave, std::vector<float>>> saves;
  for (int i = 0; i < 8; ++i) {
    train();
    saves.emplace_back(start(run), weights_);
  }
  for (auto& [pending, weights] : saves) {
    const Bytes read = open(pending.wait()).read("weights");
    ASSERT_EQ(read.size(), weights.size() * sizeof(float));
    EXPECT_EQ(std::memcmp(read.data(), weights.data(), read.size()), 0);
  }
  expect_sound();
}

TEST_F(DifferencesTest, AnotherProcessGoesOn) {
  std::optional<ckp::Run> run = store_.create_run({.name = "dense"});
  save_all(*run);
  train_and_save(*run);
  run.reset();
  run = store_.resume_run("dense");
  const SaveReport whole = train_and_save(*run);
  EXPECT_EQ(whole.differences_written, 0u);
  expect_loads(whole);
  const SaveReport later = train_and_save(*run);
  EXPECT_EQ(later.differences_written, weight_chunks);
  expect_loads(later);
  expect_sound();
}

// Two tensors with the same bytes share their chunks, and then go different ways.
TEST_F(DifferencesTest, TwinsThatPart) {
  ckp::Run run = store_.create_run({.name = "twins"});
  std::vector<float> twin = weights_;
  const auto count = static_cast<std::int64_t>(twin.size());
  const auto save_both = [&] {
    StateDict state;
    state.add("a", contiguous_view(DType::float32, {count}, weights_.data()));
    state.add("b", contiguous_view(DType::float32, {count}, twin.data()));
    ++epoch_;
    const SaveReport report =
        run.save(state, {.epoch = epoch_, .step = epoch_, .encode = encode_}).wait();
    expect_holds(open(report), state);
    return report;
  };
  save_both();
  train();
  twin = weights_;
  EXPECT_EQ(save_both().differences_written, 0u);  // stored once, for both
  for (int i = 0; i < 5; ++i) {
    train();
    if (i % 2 == 0) {
      for (float& weight : twin) weight *= 1.0f + 1e-3f * normal_(random_);
    } else {
      twin = weights_;
    }
    save_both();
  }
  save_both();
  expect_sound();
}

TEST_F(DifferencesTest, ComparedAndConvertedLikeAnyOther) {
  ckp::Run run = store_.create_run({.name = "dense"});
  const SaveReport first = save_all(run);
  const std::vector<float> before = weights_;
  train_and_save(run);
  weights_[7] = 1;
  const SaveReport third = train_and_save(run);
  std::uint64_t changed = 0;
  for (std::size_t i = 0; i < before.size(); ++i) changed += before[i] != weights_[i] ? 1 : 0;
  for (const auto& change : compare(open(first), open(third), {.only = "weights"})) {
    EXPECT_EQ(change.changed, changed);
  }
  write_standalone(open(third), directory_ / "alone.ckp");
  const Checkpoint alone = open_file(directory_ / "alone.ckp");
  expect_holds(alone, dict());
  EXPECT_TRUE(alone.manifest().differences.empty());
  EXPECT_EQ(raw_size_needed(alone), raw_size_needed(open(first)));
  EXPECT_TRUE(verify_file(directory_ / "alone.ckp", {.level = VerifyLevel::full}).findings.empty());
  write_safetensors(open(third), directory_ / "alone.safetensors", {.all = true});
  const auto imported = store_.import_file(directory_ / "alone.ckp", {.run = "copy"});
  expect_holds(store_.open_checkpoint(imported), dict());
  expect_sound();
}

// Tensors of any type come and go, are trained, replaced, changed in few places or not at all; they
// are cut differently, and checkpoints are pruned.
TEST_F(DifferencesTest, AnyStatesAndAnyPrunes) {
  ckp::Run run = store_.create_run({.name = "any"});
  constexpr DType types[] = {DType::float32, DType::float64, DType::bfloat16, DType::int8};
  std::vector<Bytes> tensors;
  for (std::uint64_t i = 0; i < 4; ++i)
    tensors.push_back(random_bytes((70'000 + random_() % 300'000) / 8 * 8, i));
  std::map<Uuid, std::vector<Bytes>> saved;
  std::uint64_t differences = 0, patches = 0;
  for (int round = 0; round < 120; ++round) {
    for (std::size_t t = 0; t < tensors.size(); ++t) {
      Bytes& tensor = tensors[t];
      const std::size_t element = size_of(types[t]);
      const std::uint64_t kind = random_() % 8;
      if (kind < 4) {
        for (std::size_t i = 0; i < tensor.size(); i += element)
          tensor[i] ^= static_cast<std::byte>(random_() % 8);
      } else if (kind == 4) {
        tensor = random_bytes(tensor.size(), random_());
      } else if (kind == 5) {
        for (int i = 0; i < 5; ++i) tensor[random_() % tensor.size()] ^= std::byte{1};
      }
    }
    StateDict state;
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      if (random_() % 16 == 0) continue;
      const auto count = static_cast<std::int64_t>(tensors[i].size() / size_of(types[i]));
      state.add(std::to_string(i), view_of(tensors[i], types[i], {count}, {1}));
    }
    SaveOptions options{.epoch = round, .step = round};
    options.encode.chunk_size = random_() % 8 == 0 ? 32u << 10 : 64u << 10;
    const SaveReport report = run.save(state, options).wait();
    differences += report.differences_written;
    patches += report.patches_written;
    saved[report.checkpoint.id] = tensors;
    expect_holds(open(report), state);
    if (random_() % 4 == 0) store_.prune({.last = static_cast<std::uint32_t>(1 + random_() % 6)});
  }
  EXPECT_GT(differences, 100u);
  EXPECT_GT(patches, 0u);
  for (const auto& record : store_.checkpoints(store_.run("any").id)) {
    const Checkpoint checkpoint = store_.open_checkpoint(record);
    EXPECT_LE(deepest(checkpoint), 2u);
    for (const auto& tensor : checkpoint.manifest().tensors) {
      const auto expected = saved.at(record.id).at(std::stoul(tensor.name));
      EXPECT_TRUE(checkpoint.read(tensor.name) == expected) << record.epoch << " " << tensor.name;
    }
  }
  expect_sound();
}

// Pieces that are parts of chunks, a patch on top, a view through both, and a kind nobody knows.
TEST_F(DifferencesTest, FilesOfOthers) {
  const auto golden = [](const std::string& name) {
    return std::filesystem::path(CKP_SOURCE_DIR) / "tests/golden/v1" / name;
  };
  const Checkpoint checkpoint = open_file(golden("differences.ckp"));
  const auto floats = checkpoint.read("model/floats");
  const std::uint32_t expected[] = {0x3f800000, 0xbf800000, 0x80000000, 0xff800002};
  ASSERT_EQ(floats.size(), sizeof expected);
  EXPECT_EQ(std::memcmp(floats.data(), expected, sizeof expected), 0);
  const auto column = checkpoint.read("model/column");
  const std::uint16_t elements[] = {32768, 502, 832};
  ASSERT_EQ(column.size(), sizeof elements);
  EXPECT_EQ(std::memcmp(column.data(), elements, sizeof elements), 0);
  EXPECT_TRUE(verify_file(golden("differences.ckp"), {.level = VerifyLevel::full}).clean());
  EXPECT_TRUE(compare(checkpoint, checkpoint, {}).empty() ||
              compare(checkpoint, checkpoint, {}).front().changed == 0);
  expect_error(ErrorCode::newer_format, "kind 5 is not known",
               [&] { open_file(golden("newer-difference.ckp")); });
}

}  // namespace
}  // namespace ckp
