// Stores whose checkpoints share some of their chunks, so that packs become half dead.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "store/layout.h"
#include "store_fixture.h"

namespace ckp::test {

// Tensors that change by themselves: each is a chunk of its own, and its size says which it is.
class Parts {
 public:
  explicit Parts(std::vector<int> versions) {
    for (std::size_t i = 0; i < versions.size(); ++i) {
      auto& values = values_.emplace_back(20'000 + 6'000 * i);
      std::uint32_t state = static_cast<std::uint32_t>(versions[i]) * 2654435761u + 12345u;
      for (float& value : values) {
        state = state * 1664525u + 1013904223u;
        value = static_cast<float>(static_cast<std::int32_t>(state)) / 2147483648.0f;
      }
    }
  }
  StateDict dict() const {
    StateDict state;
    for (std::size_t i = 0; i < values_.size(); ++i) {
      state.add(name(i), contiguous_view(DType::float32, {size(i)}, values_[i].data()));
    }
    return state;
  }
  bool is_in(const Checkpoint& checkpoint) const {
    for (std::size_t i = 0; i < values_.size(); ++i) {
      std::vector<float> read(values_[i].size());
      const TensorTarget target{name(i), DType::float32, {size(i)}, {1}, read.data()};
      checkpoint.load(std::span(&target, 1));
      if (read != values_[i]) return false;
    }
    return true;
  }

 private:
  static std::string name(std::size_t i) { return "model/part" + std::to_string(i); }
  std::int64_t size(std::size_t i) const { return static_cast<std::int64_t>(values_[i].size()); }
  std::vector<std::vector<float>> values_;
};

class RewriteTest : public StoreTest {
 protected:
  static KeepPolicy keep_last(std::uint32_t count) {
    KeepPolicy policy;
    policy.last = count;
    return policy;
  }
  static CheckpointRecord save_parts(ckp::Run& run, const std::vector<int>& versions, int epoch) {
    return run.save(Parts(versions).dict(), {.epoch = epoch, .step = epoch}).wait().checkpoint;
  }
  static std::uint64_t bytes_below(const std::filesystem::path& store) {
    std::uint64_t bytes = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(store / "runs")) {
      if (entry.is_regular_file()) bytes += entry.file_size();
    }
    return bytes;
  }
  std::uint64_t bytes_on_disk() const { return bytes_below(path()); }
  // The file of a pack, whatever its state.
  std::filesystem::path file_of(const Uuid& pack) const {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path() / "runs")) {
      const auto name = parse_pack_name(entry.path().filename().string());
      if (name && name->uuid == pack) return entry.path();
    }
    return {};
  }
  static void expect_clean(const Store& store) {
    const VerifyReport report = store.verify({.level = VerifyLevel::full});
    for (const Finding& finding : report.findings) ADD_FAILURE() << finding.message;
    EXPECT_TRUE(report.notes.empty()) << report.notes.front();
  }
};

}  // namespace ckp::test
