// One file from a checkpoint whose chunks lie in several packs.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <numeric>

#include "ckp/convert.h"
#include "ckp/error.h"
#include "load/open_pack.h"
#include "runs/record_codec.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace ckp {
namespace {

class WriteStandalone : public testing::Test {
 protected:
  WriteStandalone() {
    std::iota(old_.begin(), old_.end(), 0.0f);
    new_.assign(40'000, 0.5f);
    StateDict state;
    state.add("model/frozen", contiguous_view(DType::float32, {40'000}, old_.data()));
    save_file(dir_ / "old.ckp", state);
    checkpoint_ = std::make_unique<Checkpoint>(make_checkpoint());
  }

  // A checkpoint whose own pack holds model/head, and refers to old.ckp for model/frozen, twice.
  Checkpoint make_checkpoint() {
    const auto fs = posix_file_system();
    const OpenPack old = open_pack(*fs, dir_ / "old.ckp");
    auto parts = std::make_shared<Checkpoint::Parts>();
    StateDict state;
    state.add("model/head", contiguous_view(DType::float32, {40'000}, new_.data()));
    state.set("config/hidden", 128);
    SaveOptions options;
    options.epoch = 7;
    options.step = 70;
    options.metrics = {{"loss", 0.5}};
    save_file(dir_ / "own.ckp", state, options);
    const OpenPack own = open_pack(*fs, dir_ / "own.ckp");
    parts->manifest = format::read_manifest(*own.source, own.directory);
    const format::Manifest frozen = format::read_manifest(*old.source, old.directory);
    const auto first = static_cast<std::uint32_t>(parts->manifest.references.size());
    for (format::ChunkReference reference : frozen.references) {
      reference.address.pack = old.directory.header.uuid;
      parts->manifest.references.push_back(reference);
    }
    for (int times = 0; times < 2; ++times) {
      format::StorageEntry storage = frozen.storages.at(0);
      for (auto& piece : storage.pieces) piece.reference += first;
      parts->manifest.storages.push_back(storage);
      format::TensorEntry tensor = frozen.tensors.at(0);
      tensor.name = times == 0 ? "model/body" : "model/copy";
      tensor.storage = static_cast<std::uint32_t>(parts->manifest.storages.size() - 1);
      parts->manifest.tensors.push_back(tensor);
    }
    std::ranges::sort(parts->manifest.tensors, {}, &format::TensorEntry::name);
    // The same chunk behind two references is copied once.
    parts->manifest.references.push_back(parts->manifest.references.back());
    parts->record = describe(own, parts->manifest, 0);
    parts->packs.emplace(own.directory.header.uuid, own);
    parts->packs.emplace(old.directory.header.uuid, old);
    parts->name = (dir_ / "own.ckp").string();
    return Checkpoint(parts);
  }

  test::TemporaryDirectory dir_;
  std::vector<float> old_ = std::vector<float>(40'000), new_;
  std::unique_ptr<Checkpoint> checkpoint_;
};

TEST_F(WriteStandalone, HoldsEveryChunkAndNeedsNoOtherPack) {
  const ConvertReport report = write_standalone(*checkpoint_, dir_ / "all.ckp");
  EXPECT_EQ(report.tensors, 3u);
  EXPECT_EQ(report.bytes, std::filesystem::file_size(dir_ / "all.ckp"));
  std::filesystem::remove(dir_ / "old.ckp");
  std::filesystem::remove(dir_ / "own.ckp");
  const Checkpoint copy = open_file(dir_ / "all.ckp");
  for (const char* name : {"model/head", "model/body", "model/copy"}) {
    EXPECT_EQ(copy.read(name), checkpoint_->read(name)) << name;
  }
  for (const auto& reference : copy.manifest().references) {
    EXPECT_TRUE(reference.address.pack.is_nil());
  }
  EXPECT_EQ(copy.manifest().tensors, checkpoint_->manifest().tensors);
}

TEST_F(WriteStandalone, KeepsFactsAndValues) {
  write_standalone(*checkpoint_, dir_ / "all.ckp");
  const Checkpoint copy = open_file(dir_ / "all.ckp");
  EXPECT_EQ(copy.values(), checkpoint_->values());
  EXPECT_EQ(copy.manifest().checkpoint, checkpoint_->manifest().checkpoint);
  EXPECT_EQ(copy.record().epoch, 7);
  EXPECT_EQ(copy.record().step, 70);
  EXPECT_EQ(copy.record().metrics.at("loss"), 0.5);
  EXPECT_NE(copy.record().id, checkpoint_->record().id);
}

TEST_F(WriteStandalone, CopiesStoredChunksAsTheyAreAndOnce) {
  write_standalone(*checkpoint_, dir_ / "all.ckp");
  const auto fs = posix_file_system();
  const OpenPack all = open_pack(*fs, dir_ / "all.ckp");
  const OpenPack own = open_pack(*fs, dir_ / "own.ckp");
  const OpenPack old = open_pack(*fs, dir_ / "old.ckp");
  ASSERT_EQ(all.directory.chunks.size(), own.directory.chunks.size() + old.directory.chunks.size());
  const auto stored = [](const OpenPack& pack, std::size_t chunk) {
    return format::read_record(*pack.source, pack.directory, pack.directory.chunks.at(chunk));
  };
  const std::size_t own_chunks = own.directory.chunks.size();
  for (std::size_t i = 0; i < all.directory.chunks.size(); ++i) {
    const format::Record copied = stored(all, i);
    const format::Record source = i < own_chunks ? stored(own, i) : stored(old, i - own_chunks);
    EXPECT_EQ(copied.header.codec, source.header.codec);
    EXPECT_EQ(copied.stored, source.stored);
  }
}

TEST_F(WriteStandalone, ADamagedChunkIsNotCopied) {
  const auto pack = open_pack(*posix_file_system(), dir_ / "old.ckp");
  const auto& entry = pack.directory.chunks.at(0);
  {
    std::fstream file(dir_ / "old.ckp", std::ios::in | std::ios::out | std::ios::binary);
    const auto place = static_cast<std::streamoff>(entry.offset) + 128 + 100;
    file.seekg(place);
    const int byte = file.get();
    file.seekp(place);
    file.put(static_cast<char>(byte ^ 1));
  }
  test::expect_error(ErrorCode::corrupt, "old.ckp",
                     [&] { write_standalone(*checkpoint_, dir_ / "all.ckp"); });
  EXPECT_FALSE(std::filesystem::exists(dir_ / "all.ckp"));
}

TEST_F(WriteStandalone, AnotherChunkThanExpectedIsDamage) {
  auto parts = std::make_shared<Checkpoint::Parts>(checkpoint_->parts());
  parts->manifest.references.back().raw_digest.low ^= 1;
  parts->manifest.references.back().address.number = 0;
  // Not found under the digest that an earlier reference had.
  parts->manifest.references = {parts->manifest.references.back()};
  parts->manifest.storages.clear();
  parts->manifest.tensors.clear();
  test::expect_error(ErrorCode::corrupt, "chunk 0 of",
                     [&] { write_standalone(Checkpoint(parts), dir_ / "all.ckp"); });
}

}  // namespace
}  // namespace ckp
