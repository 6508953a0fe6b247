// Derived tensors where others read: damage, repair, comparing, converting, files of others.
#include <gtest/gtest.h>

#include <cstring>

#include "ckp/compare.h"
#include "ckp/convert.h"
#include "ckp/repair.h"
#include "ckp/state_digest.h"
#include "engine/derived_fixture.h"

namespace ckp {
namespace {

using test::expect_error;
using test::expect_holds;

class DerivedReadingTest : public test::DerivedTest {
 protected:
  // Changes a bit in the middle of the last chunk of a tensor.
  void damage(const SaveReport& report, const char* tensor) {
    Bytes file = test::read_bytes(report.path);
    const FileSource source(
        std::shared_ptr<const File>(posix_file_system()->open(report.path, OpenMode::read)));
    const auto directory = format::read_directory(source);
    const Checkpoint checkpoint = open(report);
    const auto& manifest = checkpoint.manifest();
    const auto& pieces = manifest.storages[manifest.find(tensor)->storage].pieces;
    const std::uint32_t number = manifest.references[pieces.back().reference].address.number;
    const auto* const chunk = directory.find_chunk(number);
    file[chunk->offset + format::RecordHeader::size + chunk->stored_size / 2] ^= std::byte{4};
    test::write_bytes(report.path, file);
  }
};

TEST_F(DerivedReadingTest, OnlyWhatIsNeededIsRead) {
  ckp::Run run = store_.create_run({.name = "parts"});
  const SaveReport report = save_all(run);
  damage(report, "optimizer/z");
  const Checkpoint damaged = open(report);
  for (const char* name : {"optimizer/z", "model/w"}) {
    expect_error(ErrorCode::corrupt, "hits tensor model/w and 1 other",
                 [&] { damaged.read(name); });
  }
  for (const char* name : {"optimizer/m", "optimizer/v", "model/bias"}) {
    EXPECT_FALSE(damaged.read(name).empty());
  }
  for (const VerifyLevel level : {VerifyLevel::stored, VerifyLevel::full}) {
    const VerifyReport found = store_.verify({.level = level});
    ASSERT_EQ(found.findings.size(), 1u);
    EXPECT_EQ(found.findings[0].tensor, "model/w");
    EXPECT_EQ(found.findings[0].more_tensors, 1u);
  }
  repair(path());
  const auto left = store_.checkpoints(store_.run("parts").id);
  ASSERT_EQ(left.size(), 1u);
  const Checkpoint salvaged = store_.open_checkpoint(left[0]);
  EXPECT_EQ(salvaged.manifest().find("model/w"), nullptr);
  EXPECT_EQ(salvaged.manifest().find("optimizer/z"), nullptr);
  EXPECT_FALSE(salvaged.read("optimizer/m").empty());
}

// What is lost is another tensor: what is derived stays derived in the salvage.
TEST_F(DerivedReadingTest, RepairKeepsWhatIsDerived) {
  ckp::Run run = store_.create_run({.name = "salvaged"});
  const SaveReport report = save_all(run);
  damage(report, "optimizer/m");
  repair(path());
  const auto left = store_.checkpoints(store_.run("salvaged").id);
  ASSERT_EQ(left.size(), 1u);
  const Checkpoint salvaged = store_.open_checkpoint(left[0]);
  EXPECT_EQ(salvaged.manifest().find("optimizer/m"), nullptr);
  EXPECT_EQ(salvaged.manifest().derived.size(), weight_chunks);
  const StateDict state = dict();
  for (const char* name : {"model/w", "optimizer/z", "optimizer/v", "model/bias"}) {
    EXPECT_TRUE(salvaged.read(name) == test::elements_of(state.tensors().at(name))) << name;
  }
  expect_sound();
}

TEST_F(DerivedReadingTest, ComparedAndConvertedLikeAnyOther) {
  ckp::Run run = store_.create_run({.name = "converted"});
  const SaveReport first = save_all(run);
  const Halves before = weights_;
  const SaveReport second = train_and_save(run);
  std::uint64_t changed = 0;
  for (std::size_t i = 0; i < before.size(); ++i) changed += before[i] != weights_[i] ? 1 : 0;
  const auto changes = compare(open(first), open(second), {.only = "model/w"});
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_EQ(changes[0].changed, changed);
  encode_.compression = format::Compression::none;
  ckp::Run plain = store_.create_run({.name = "plain"});
  const SaveReport whole = save_all(plain);
  EXPECT_EQ(whole.chunks_derived, 0u);
  for (const auto& change : compare(open(second), open(whole), {})) EXPECT_EQ(change.changed, 0u);
  for (const auto& change : compare(open(second), open(second), {})) EXPECT_EQ(change.changed, 0u);
  EXPECT_EQ(state_digest(open(second)).total, state_digest(open(whole)).total);

  const auto alone = directory_ / "alone.ckp", plain_file = directory_ / "all.safetensors",
             again = directory_ / "again.ckp", saved = directory_ / "saved.ckp";
  write_standalone(open(second), alone);
  EXPECT_EQ(open_file(alone).manifest().derived.size(), weight_chunks);
  expect_loads(open_file(alone));
  EXPECT_TRUE(verify_file(alone, {.level = VerifyLevel::full}).clean());
  expect_loads(store_.open_checkpoint(store_.import_file(alone, {.run = "copy"})));
  write_safetensors(open(second), plain_file, {.all = true});
  convert_safetensors(plain_file, again);
  const Checkpoint imported = open_file(again);
  EXPECT_EQ(imported.manifest().derived.size(), 1u);  // its chunks are larger
  EXPECT_TRUE(imported.read("model/model/w") == open(second).read("model/w"));
  encode_.compression = format::Compression::balanced;
  const SaveReport file = save_file(saved, dict(), {.encode = encode_});
  EXPECT_EQ(file.chunks_derived, weight_chunks);
  expect_loads(open_file(saved));
  EXPECT_TRUE(verify_file(saved, {.level = VerifyLevel::full}).clean());
  expect_sound();
}

// Several batches of an import, each with a pair of its own.
TEST_F(DerivedReadingTest, ImportsInBatches) {
  masters_ = Floats(3'000'000);
  for (float& one : masters_) one = normal_(random_);
  round();
  StateDict state;
  const auto count = static_cast<std::int64_t>(weights_.size());
  for (const char* name : {"a", "c"}) {
    state.add(std::string("model/") + name + "/1",
              contiguous_view(DType::bfloat16, {count}, weights_.data()));
    state.add(std::string("model/") + name + "/2", of_floats(masters_));
  }
  save_file(directory_ / "pairs.ckp", state);
  write_safetensors(open_file(directory_ / "pairs.ckp"), directory_ / "pairs.safetensors", {});
  convert_safetensors(directory_ / "pairs.safetensors", directory_ / "again.ckp");
  expect_holds(open_file(directory_ / "pairs.ckp"), state);
  const Checkpoint again = open_file(directory_ / "again.ckp");
  for (const auto& [name, view] : state.tensors()) {
    EXPECT_TRUE(again.read(name) == test::elements_of(view)) << name;
  }
}

TEST_F(DerivedReadingTest, FilesOfOthers) {
  const auto golden = std::filesystem::path(CKP_SOURCE_DIR) / "tests/golden/v1/derived.ckp";
  const Checkpoint checkpoint = open_file(golden);
  const auto halves = [](const Bytes& bytes) {
    Halves all(bytes.size() / 2);
    std::memcpy(all.data(), bytes.data(), bytes.size());
    return all;
  };
  EXPECT_EQ(halves(checkpoint.read("model/weight")),
            (Halves{0x3f80, 0xbf82, 0x3f81, 0x4321, 0x1234, 0x5678}));
  EXPECT_EQ(halves(checkpoint.read("model/small")),
            (Halves{0x3c04, 0xbc0c, 0x3c04, 0x7e00, 0x8000, 0x7c00}));
  Bytes weight(12), master(24);
  checkpoint.load(
      std::vector<TensorTarget>{{"model/weight", DType::uint16, {6}, {1}, weight.data()},
                                {"optimizer/master", DType::float32, {6}, {1}, master.data()}});
  EXPECT_TRUE(weight == checkpoint.read("model/weight"));
  EXPECT_TRUE(master == checkpoint.read("optimizer/master"));
  EXPECT_TRUE(verify_file(golden, {.level = VerifyLevel::full}).clean());
  for (const auto& change : compare(checkpoint, checkpoint, {})) EXPECT_EQ(change.changed, 0u);
  write_standalone(checkpoint, directory_ / "copy.ckp");
  EXPECT_TRUE(open_file(directory_ / "copy.ckp").read("model/small") ==
              checkpoint.read("model/small"));
}

}  // namespace
}  // namespace ckp
