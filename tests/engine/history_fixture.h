// A run whose checkpoints are written out by hand.
#pragma once

#include <cmath>
#include <cstring>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "load/open_pack.h"
#include "store/layout.h"
#include "store_fixture.h"

namespace ckp::test {

class HistoryTest : public StoreTest {
 protected:
  using Values = std::map<std::string, std::vector<float>>;

  HistoryTest() : store_(Store::create(path())), run_(store_.create_run(run_options("cnn"))) {}

  static std::vector<float> ramp(std::size_t count, float scale) {
    std::vector<float> values(count);
    for (std::size_t i = 0; i < count; ++i) {
      values[i] = std::sin(static_cast<float>(i) * 0.37f) * scale;
    }
    return values;
  }
  // Nothing of one is in another, not even as what it differs from.
  static std::vector<float> wave(std::size_t count, float frequency) {
    std::vector<float> values(count);
    for (std::size_t i = 0; i < count; ++i) {
      values[i] = std::sin(static_cast<float>(i) * frequency);
    }
    return values;
  }
  // In chunks of 4096 bytes.
  CheckpointRecord save(const Values& values) {
    StateDict state;
    for (const auto& [name, elements] : values) {
      const auto size = static_cast<std::int64_t>(elements.size());
      state.add(name, contiguous_view(DType::float32, {size}, elements.data()));
    }
    return save_state(state);
  }
  CheckpointRecord save_state(const StateDict& state) {
    SaveOptions options;
    options.epoch = static_cast<std::int64_t>(checkpoints_.size()) + 1;
    options.step = options.epoch * 10;
    options.encode.chunk_size = 4096;
    checkpoints_.push_back(run_.save(state, options).wait().checkpoint);
    return checkpoints_.back();
  }
  const Store& store() const { return store_; }
  const std::vector<CheckpointRecord>& checkpoints() const { return checkpoints_; }

  std::filesystem::path file_of(const Uuid& pack) const {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path() / "runs")) {
      const auto name = parse_pack_name(entry.path().filename().string());
      if (name && name->uuid == pack) return entry.path();
    }
    return {};
  }
  std::filesystem::path file_of(const CheckpointRecord& record) const { return file_of(record.id); }
  // Flips a bit of a chunk's stored bytes: opening the checkpoint does not notice.
  void damage(const std::string& tensor, const CheckpointRecord& record,
              std::size_t piece = 0) const {
    const Checkpoint checkpoint = store_.open_checkpoint(record);
    const format::Manifest& manifest = checkpoint.manifest();
    const auto& storage = manifest.storages[manifest.find(tensor)->storage];
    const auto& address = manifest.references[storage.pieces.at(piece).reference].address;
    const Uuid pack = address.pack.is_nil() ? record.id : address.pack;
    const auto& directory = checkpoint.parts().packs.at(pack).directory;
    const auto at = directory.find_chunk(address.number)->offset + format::RecordHeader::size;
    const auto file = posix_file_system()->open(file_of(pack), OpenMode::read_write);
    std::byte byte{};
    file->read_at(at, {&byte, 1});
    byte ^= std::byte{0x10};
    file->write_at(at, {&byte, 1});
  }

 private:
  Store store_;
  ckp::Run run_;
  std::vector<CheckpointRecord> checkpoints_;
};

}  // namespace ckp::test
