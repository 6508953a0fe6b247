// States for tests, and their way through a file and back.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "ckp/error.h"
#include "ckp/load.h"
#include "ckp/save.h"
#include "ckp/state_dict.h"

namespace ckp::test {

inline std::vector<std::byte> random_bytes(std::size_t size, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<std::byte> bytes(size);
  for (auto& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

// A strided view into `storage`.
inline TensorView view_of(const std::vector<std::byte>& storage, DType dtype,
                          std::vector<std::int64_t> shape, std::vector<std::int64_t> strides,
                          std::int64_t offset = 0) {
  TensorView view;
  view.dtype = dtype;
  view.shape = std::move(shape);
  view.strides = std::move(strides);
  view.storage_offset = offset;
  view.storage = storage.data();
  view.storage_size = storage.size();
  return view;
}

// The view's elements in row-major order, found the slow and obvious way.
inline std::vector<std::byte> elements_of(const TensorView& view) {
  std::uint64_t count = 1;
  for (const auto size : view.shape) count *= static_cast<std::uint64_t>(size);
  const std::size_t element = size_of(view.dtype);
  const auto* storage = static_cast<const std::byte*>(view.storage);
  std::vector<std::byte> out(count * element);
  for (std::uint64_t i = 0; i < count; ++i) {
    std::uint64_t rest = i;
    auto at = static_cast<std::uint64_t>(view.storage_offset);
    for (std::size_t d = view.shape.size(); d-- > 0;) {
      const auto size = static_cast<std::uint64_t>(view.shape[d]);
      at += rest % size * static_cast<std::uint64_t>(view.strides[d]);
      rest /= size;
    }
    std::memcpy(out.data() + i * element, storage + at * element, element);
  }
  return out;
}

inline std::vector<std::byte> read_bytes(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  std::vector<std::byte> bytes(text.size());
  if (!text.empty()) std::memcpy(bytes.data(), text.data(), text.size());
  return bytes;
}

inline void write_bytes(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(reinterpret_cast<const char*>(bytes.data()),
            static_cast<std::streamsize>(bytes.size()));
}

// Expects that the checkpoint holds exactly the state's tensors, bit by bit, and its values.
inline void expect_holds(const Checkpoint& checkpoint, const StateDict& state) {
  EXPECT_EQ(checkpoint.manifest().tensors.size(), state.tensors().size());
  EXPECT_TRUE(checkpoint.values() == state.values());
  for (const auto& [name, view] : state.tensors()) {
    const auto* entry = checkpoint.manifest().find(name);
    ASSERT_NE(entry, nullptr) << name;
    EXPECT_EQ(entry->dtype, view.dtype) << name;
    EXPECT_EQ(entry->shape, view.shape) << name;
    EXPECT_EQ(entry->strides, view.strides) << name;
    EXPECT_EQ(entry->flags, view.flags) << name;
    EXPECT_TRUE(checkpoint.read(name) == elements_of(view)) << name << ": other bytes";
  }
}

// A pack in memory.
class MemorySource final : public format::ByteSource {
 public:
  explicit MemorySource(std::vector<std::byte> bytes) : bytes_(std::move(bytes)) {}
  std::uint64_t size() const override { return bytes_.size(); }
  void read(std::uint64_t offset, std::span<std::byte> out) const override {
    if (offset > bytes_.size() || bytes_.size() - offset < out.size()) {
      throw Error(ErrorCode::corrupt, "beyond the end");
    }
    if (!out.empty()) std::memcpy(out.data(), bytes_.data() + offset, out.size());
  }
  std::string name() const override { return "memory"; }

 private:
  std::vector<std::byte> bytes_;
};

}  // namespace ckp::test
