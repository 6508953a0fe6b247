// Saves of large tensors of which few rows have changed: what is stored is the rows.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <set>

#include "ckp/compare.h"
#include "ckp/convert.h"
#include "ckp/format/codec.h"
#include "ckp/format/patch.h"
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

constexpr std::size_t row = 256;

// An embedding of 512 KiB in 8 chunks, its second half also as a tensor of its own, and a bias.
class PatchesTest : public test::StoreTest {
 protected:
  StateDict dict() const {
    StateDict state;
    const auto rows = static_cast<std::int64_t>(table_.size() / row);
    state.add("embedding", view_of(table_, DType::uint8, {rows, row}, {row, 1}));
    state.add("half", view_of(table_, DType::uint8, {rows / 2, row}, {row, 1},
                              static_cast<std::int64_t>(table_.size() / 2)));
    state.add("columns", view_of(table_, DType::int32, {row / 4, rows}, {1, row / 4}));
    state.add("bias", view_of(bias_, DType::float32, {100}, {1}));
    return state;
  }
  SaveReport save_all(ckp::Run& run) { return start(run).wait(); }
  PendingSave start(ckp::Run& run) {
    ++epoch_;
    SaveOptions options{.epoch = epoch_, .step = epoch_};
    options.encode.chunk_size = 64 << 10;
    return run.save(dict(), options);
  }
  void change_row(std::size_t number) {
    for (std::size_t i = 0; i < row; ++i) {
      table_[number * row + i] = static_cast<std::byte>(random_());
    }
  }
  void change_rows(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) change_row(random_() % (table_.size() / row));
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

  Store store_ = Store::create(path());
  Bytes table_ = random_bytes(512 << 10, 1);
  Bytes bias_ = Bytes(400);
  std::mt19937_64 random_{test::seed(41)};
  int epoch_ = 0;
};

TEST_F(PatchesTest, OnlyChangedRowsAreStored) {
  ckp::Run run = store_.create_run({.name = "words"});
  const SaveReport first = save_all(run);
  EXPECT_EQ(first.patches_written, 0u);
  for (std::size_t patches = 1; patches <= 3; ++patches) {
    for (const std::size_t number : {0u, 7u, 255u, 256u, 2047u}) change_row(number);
    const SaveReport later = save_all(run);
    EXPECT_EQ(later.chunks_written, 0u);
    EXPECT_EQ(later.patches_written, 1u);
    EXPECT_LT(later.bytes_written, 5 * row + 4000);
    EXPECT_EQ(later.bytes_shared, first.bytes_copied - 5 * row);
    EXPECT_EQ(open(later).manifest().patches.size(), patches);
    expect_loads(later);
  }
  const SaveReport same = save_all(run);
  EXPECT_EQ(same.chunks_written + same.patches_written, 0u);
  EXPECT_EQ(open(same).manifest().patches.size(), 3u);
  expect_loads(same);
  expect_sound();
}

TEST_F(PatchesTest, ALoadNeverReadsMoreThanTwice) {
  ckp::Run run = store_.create_run({.name = "words"});
  const std::uint64_t whole = raw_size_needed(open(save_all(run)));
  std::uint64_t patches = 0, again = 0;
  for (int i = 0; i < 60; ++i) {
    change_rows(100);
    const SaveReport report = save_all(run);
    patches += report.patches_written;
    again += report.chunks_written == 8 ? 1 : 0;
    EXPECT_LE(raw_size_needed(open(report)), 2 * whole);
    expect_loads(report);
  }
  EXPECT_GT(patches, 40u);
  EXPECT_GE(again, 2u);
  expect_sound();
}

TEST_F(PatchesTest, ADenseSaveNowAndThenIsNoReasonToGiveUp) {
  ckp::Run run = store_.create_run({.name = "words"});
  std::uint64_t patches = 0;
  for (int i = 0; i < 40; ++i) {
    if (i % 8 == 0) {
      for (auto& byte : table_) byte ^= std::byte{1};
    } else {
      change_rows(20);
    }
    patches += save_all(run).patches_written;
  }
  EXPECT_EQ(patches, 35u);
}

// A chunk changes as a whole: nothing is patched any more, and what has not changed is stored anew.
TEST_F(PatchesTest, DenseChangesEndIt) {
  ckp::Run run = store_.create_run({.name = "words"});
  save_all(run);
  change_row(3);
  save_all(run);
  for (std::size_t number = 512; number < 768; ++number) change_row(number);
  const SaveReport dense = save_all(run);
  EXPECT_EQ(dense.patches_written, 0u);
  EXPECT_TRUE(open(dense).manifest().patches.empty());
  expect_loads(dense);
  change_row(3);
  EXPECT_EQ(save_all(run).patches_written, 1u);
  expect_sound();
}

TEST_F(PatchesTest, OfADenselyTrainedTensorNothingIsPatched) {
  ckp::Run run = store_.create_run({.name = "dense"});
  for (int i = 0; i < 5; ++i) {
    for (auto& byte : table_) byte ^= static_cast<std::byte>(1 + i);
    const SaveReport report = save_all(run);
    EXPECT_EQ(report.patches_written, 0u);
    EXPECT_TRUE(open(report).manifest().patches.empty());
    expect_loads(report);
  }
}

TEST_F(PatchesTest, PruningKeepsWhatAPatchStandsOn) {
  ckp::Run run = store_.create_run({.name = "words"});
  save_all(run);
  SaveReport last;
  for (int i = 0; i < 6; ++i) {
    change_rows(5);
    last = save_all(run);
    store_.prune({.last = 1}, {}, {.waste_threshold = 0.01});
    expect_loads(last);
    expect_sound();
  }
  EXPECT_EQ(store_.checkpoints(store_.run("words").id).size(), 1u);
  EXPECT_EQ(open(last).manifest().patches.size(), 6u);
}

TEST_F(PatchesTest, WhatWasPatchedMayBePrunedMeanwhile) {
  ckp::Run run = store_.create_run({.name = "words"});
  save_all(run);
  change_row(1);
  save_all(run);
  for (const bool change : {false, true}) {
    std::vector<Uuid> all;
    for (const auto& checkpoint : store_.checkpoints(store_.run("words").id))
      all.push_back(checkpoint.id);
    store_.remove_checkpoints(all);
    if (change) change_row(2);
    const SaveReport report = save_all(run);
    EXPECT_EQ(report.patches_written, 0u);
    EXPECT_TRUE(open(report).manifest().patches.empty());
    expect_loads(report);
    expect_sound();
    change_row(3);
    EXPECT_EQ(save_all(run).patches_written, 1u);
  }
}

TEST_F(PatchesTest, SavesInFlight) {
  ckp::Run run = store_.create_run({.name = "words"});
  save_all(run);
  std::vector<std::pair<PendingSave, Bytes>> saves;
  for (int i = 0; i < 8; ++i) {
    change_rows(10);
    saves.emplace_back(start(run), table_);
  }
  for (auto& [pending, table] : saves) {
    EXPECT_TRUE(open(pending.wait()).read("embedding") == table);
  }
  expect_sound();
}

TEST_F(PatchesTest, AnotherProcessGoesOn) {
  std::optional<ckp::Run> run = store_.create_run({.name = "words"});
  save_all(*run);
  change_row(5);
  save_all(*run);
  run.reset();
  run = store_.resume_run("words");
  change_row(6);
  expect_loads(save_all(*run));
  change_row(7);
  const SaveReport patched = save_all(*run);
  EXPECT_EQ(patched.patches_written, 1u);
  expect_loads(patched);
}

// Tensors come and go, chunks are cut differently, tensors are saved in two sizes of chunk.
TEST_F(PatchesTest, AnyStatesAndAnyPrunes) {
  ckp::Run run = store_.create_run({.name = "any"});
  std::vector<Bytes> tensors;
  for (std::uint64_t i = 0; i < 4; ++i)
    tensors.push_back(random_bytes(70'000 + random_() % 400'000, i));
  std::map<Uuid, std::vector<Bytes>> saved;
  std::uint64_t patches = 0;
  for (int round = 0; round < 120; ++round) {
    for (Bytes& tensor : tensors) {
      const std::uint64_t kind = random_() % 8;
      const std::size_t changes = kind == 0 ? 0 : kind == 7 ? tensor.size() / 20 : random_() % 6;
      for (std::size_t i = 0; i < changes; ++i) tensor[random_() % tensor.size()] ^= std::byte{1};
    }
    StateDict state;
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      if (random_() % 16 == 0) continue;
      const auto size = static_cast<std::int64_t>(tensors[i].size());
      state.add(std::to_string(i), view_of(tensors[i], DType::uint8, {size}, {1}));
    }
    SaveOptions options{.epoch = round, .step = round};
    options.encode.chunk_size = random_() % 8 == 0 ? 32u << 10 : 64u << 10;
    const SaveReport report = run.save(state, options).wait();
    patches += report.patches_written;
    saved[report.checkpoint.id] = tensors;
    expect_holds(open(report), state);
    if (random_() % 4 == 0) store_.prune({.last = static_cast<std::uint32_t>(1 + random_() % 6)});
  }
  EXPECT_GT(patches, 100u);
  for (const auto& record : store_.checkpoints(store_.run("any").id)) {
    const Checkpoint checkpoint = store_.open_checkpoint(record);
    for (const auto& tensor : checkpoint.manifest().tensors) {
      const auto expected = saved.at(record.id).at(std::stoul(tensor.name));
      EXPECT_TRUE(checkpoint.read(tensor.name) == expected) << record.epoch << " " << tensor.name;
    }
  }
  expect_sound();
}

TEST_F(PatchesTest, ADamagedPatchIsNamedAndNotBuiltOn) {
  ckp::Run run = store_.create_run({.name = "words"});
  const SaveReport first = save_all(run);
  change_row(2000);
  const SaveReport second = save_all(run);
  Bytes file = test::read_bytes(second.path);
  const auto at = std::search(file.begin(), file.end(), table_.begin() + 2000 * row,
                              table_.begin() + 2000 * row + 32);
  ASSERT_NE(at, file.end());
  *at ^= std::byte{4};
  test::write_bytes(second.path, file);
  expect_error(ErrorCode::corrupt, "hits tensor", [&] { open(second).read("half"); });
  expect_error(ErrorCode::corrupt, "raw digest", [&] { open(second).read("embedding"); });
  const VerifyReport report = store_.verify({});
  ASSERT_EQ(report.findings.size(), 1u);
  EXPECT_EQ(report.findings[0].tensor, "columns");
  EXPECT_EQ(report.findings[0].more_tensors, 2u);
  expect_error(ErrorCode::corrupt, "the next save stores everything anew", [&] { save_all(run); });
  const SaveReport healed = save_all(run);
  EXPECT_TRUE(open(healed).manifest().patches.empty());
  expect_loads(healed);
  EXPECT_TRUE(open(first).read("bias") == bias_);
}

TEST_F(PatchesTest, ComparedAndConvertedLikeAnyOther) {
  ckp::Run run = store_.create_run({.name = "words"});
  const Bytes before = table_;
  const SaveReport first = save_all(run);
  change_row(300);
  const SaveReport second = save_all(run);
  change_row(301);
  const SaveReport third = save_all(run);
  const auto changed_in = [&](std::size_t element) {
    std::uint64_t changed = 0;
    for (std::size_t i = 0; i < before.size(); i += element) {
      changed += std::memcmp(&before[i], &table_[i], element) != 0 ? 1 : 0;
    }
    return changed;
  };
  std::map<std::string, std::uint64_t> expected{
      {"bias", 0}, {"columns", changed_in(4)}, {"embedding", changed_in(1)}, {"half", 0}};
  for (const auto& change : compare(open(first), open(third), {.only = ""})) {
    EXPECT_EQ(change.changed, expected.at(change.name)) << change.name;
  }
  for (const auto& change : compare(open(second), open(third), {.only = "embedding"})) {
    EXPECT_GT(change.changed, 200u);
    EXPECT_LE(change.changed, row);
  }
  write_standalone(open(third), directory_ / "alone.ckp");
  expect_holds(open_file(directory_ / "alone.ckp"), dict());
  write_safetensors(open(third), directory_ / "alone.safetensors");
  convert_safetensors(directory_ / "alone.safetensors", directory_ / "back.ckp");
  EXPECT_TRUE(open_file(directory_ / "back.ckp").read("model/embedding") == table_);
}

// A pack from elsewhere whose checksums are all right.
TEST_F(PatchesTest, APatchThatCannotBeAppliedIsFound) {
  Bytes pack;
  format::PackHeader header{.uuid = Uuid::from_hex(std::string(32, '7')).value()};
  header.may_use = format::pack_features;
  format::PackWriter writer(
      [&](std::span<const std::byte> bytes) {
        pack.insert(pack.end(), bytes.begin(), bytes.end());
      },
      header);
  format::Manifest manifest;
  const auto add = [&](const Bytes& raw) {
    const auto size = static_cast<std::uint32_t>(raw.size());
    const Digest digest = digest_of(raw);
    const std::uint32_t number = writer.add_chunk(digest, size, format::Codec::raw, raw);
    manifest.references.push_back({{{}, number}, digest, size});
  };
  const auto eight = [](std::uint32_t) { return std::as_bytes(std::span("1234567", 8)); };
  Bytes patch;
  format::encode_patch(8, std::vector<std::uint32_t>{2}, eight, patch);
  add(Bytes(24));
  add(patch);
  manifest.storages = {{24, {{0, 0, 24}}}};
  manifest.tensors = {{.name = "t", .dtype = DType::uint8, .shape = {24}, .strides = {1}}};
  manifest.patches = {{0, 1, 0, 16}};  // two rows, and none with number 2
  writer.finish(std::span(&manifest, 1));
  const auto path = directory_ / "hostile.ckp";
  test::write_bytes(path, pack);
  EXPECT_TRUE(verify_file(path, {}).findings.empty());
  const VerifyReport report = verify_file(path, {.level = VerifyLevel::full});
  ASSERT_EQ(report.findings.size(), 1u);
  EXPECT_NE(report.findings[0].message.find("chunk 1 at offset"), std::string::npos);
  EXPECT_NE(report.findings[0].message.find("row 2 of 8 bytes lies behind"), std::string::npos);
  expect_error(ErrorCode::corrupt, "chunk 1 of the checkpoint's own pack: patch: row 2",
               [&] { open_file(path).read("t"); });
}

}  // namespace
}  // namespace ckp
