// Packs in memory, for the tests of reading, scanning and damage.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "ckp/error.h"
#include "ckp/format/pack.h"
#include "ckp/format/wire.h"

namespace ckp::test {

using Bytes = std::vector<std::byte>;

// A file that is a buffer.
class MemorySource : public format::ByteSource {
 public:
  explicit MemorySource(Bytes bytes) : bytes_(std::move(bytes)) {}
  std::uint64_t size() const override { return bytes_.size(); }
  void read(std::uint64_t offset, std::span<std::byte> out) const override {
    if (offset > bytes_.size() || bytes_.size() - offset < out.size()) {
      throw Error(ErrorCode::corrupt, "test.ckp: read beyond the end");
    }
    if (!out.empty()) std::memcpy(out.data(), bytes_.data() + offset, out.size());
  }
  std::string name() const override { return "test.ckp"; }

 private:
  Bytes bytes_;
};

// Sixteen equal bytes.
inline Uuid uuid_of(unsigned char value) {
  Uuid uuid;
  uuid.bytes.fill(std::byte{value});
  return uuid;
}

inline Bytes bytes_of(std::string_view text) {
  const auto bytes = format::as_bytes(text);
  return {bytes.begin(), bytes.end()};
}

inline Bytes random_bytes(std::mt19937_64& random, std::size_t size) {
  Bytes bytes(size);
  for (auto& byte : bytes) byte = static_cast<std::byte>(random() & 0xff);
  return bytes;
}

// Numbers like trained weights: a normal distribution, as float32.
inline Bytes weights(std::mt19937_64& random, std::size_t count) {
  std::normal_distribution<float> normal(0.0f, 0.02f);
  Bytes bytes(count * 4);
  for (std::size_t i = 0; i < count; ++i) {
    const float value = normal(random);
    std::memcpy(bytes.data() + 4 * i, &value, 4);
  }
  return bytes;
}

// The message of the Error that `action` throws; fails when it throws none, or of another code.
template <class Action>
std::string error_of(ErrorCode code, Action action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "no error, expected " << to_string(code);
  return "";
}

#define EXPECT_CONTAINS(text, part) \
  EXPECT_NE((text).find(part), std::string::npos) << "text: " << (text) << "\npart: " << (part)

// A pack under construction, with one float32 tensor for every chunk.
class PackBuilder {
 public:
  explicit PackBuilder(format::PackHeader header = {.uuid = uuid_of(0x11)})
      : header_(header),
        writer_(
            [this](std::span<const std::byte> b) { file_.insert(file_.end(), b.begin(), b.end()); },
            header) {}

  // Adds a chunk that holds one tensor of uint8 named `name`.
  std::uint32_t add(const std::string& name, const Bytes& raw, std::size_t scalar_size = 4,
                    format::Compression compression = format::Compression::balanced) {
    const auto encoded = format::encode(raw, scalar_size, compression);
    const auto size = static_cast<std::uint32_t>(raw.size());
    const auto& stored = encoded.codec == format::Codec::raw ? raw : encoded.bytes;
    const auto number = writer_.add_chunk(digest_of(raw), size, encoded.codec, stored);
    if (raw.empty()) return number;
    add_tensor(name, {{}, number}, raw);
    return number;
  }
  void add_tensor(const std::string& name, const format::ChunkAddress& address, const Bytes& raw) {
    const auto size = static_cast<std::uint32_t>(raw.size());
    const auto index = static_cast<std::uint32_t>(manifest_.references.size());
    manifest_.references.push_back({address, digest_of(raw), size});
    manifest_.storages.push_back({size, {{index, 0, size}}});
    manifest_.tensors.push_back(
        {.name = name, .dtype = DType::uint8, .storage = index, .shape = {size}, .strides = {1}});
  }

  format::Manifest& manifest() { return manifest_; }
  format::PackWriter& writer() { return writer_; }

  Bytes finish() {
    std::sort(manifest_.tensors.begin(), manifest_.tensors.end(),
              [](const auto& a, const auto& b) { return a.name < b.name; });
    writer_.finish(std::span(&manifest_, 1));
    return file_;
  }

 private:
  Bytes file_;
  format::PackHeader header_;
  format::Manifest manifest_;
  format::PackWriter writer_;
};

inline Bytes read_chunk_bytes(const format::ByteSource& source,
                              const format::PackDirectory& directory,
                              const format::TableEntry& entry) {
  Bytes raw(entry.raw_size);
  format::read_chunk(source, directory, entry, raw);
  return raw;
}

// Everything that a pack says, to compare with what it said before it was damaged.
struct PackContents {
  std::vector<Bytes> chunks;
  std::vector<format::Manifest> manifests;
  std::vector<std::string> damage;
};
inline PackContents read_everything(const Bytes& file) {
  const MemorySource source(file);
  const auto directory = format::read_directory(source);
  PackContents contents;
  for (const auto& entry : directory.chunks) {
    contents.chunks.push_back(read_chunk_bytes(source, directory, entry));
  }
  for (std::uint32_t i = 0; i < directory.manifests.size() / 2; ++i) {
    contents.manifests.push_back(format::read_manifest(source, directory, i, &contents.damage));
  }
  return contents;
}

}  // namespace ckp::test
