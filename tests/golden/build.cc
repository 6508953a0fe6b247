#include "build.h"

#include <algorithm>

namespace ckp::golden {

Uuid uuid_ending_in(unsigned char last) {
  Uuid uuid;
  for (std::size_t i = 0; i < uuid.bytes.size(); ++i) uuid.bytes[i] = static_cast<std::byte>(i);
  uuid.bytes.back() = static_cast<std::byte>(last);
  return uuid;
}

Builder::Builder(const format::PackHeader& header)
    : writer_(
          [this](std::span<const std::byte> b) { file_.insert(file_.end(), b.begin(), b.end()); },
          header) {}

std::uint32_t Builder::chunk(const Bytes& raw, std::size_t scalar_size,
                             format::Compression compression) {
  const auto encoded = format::encode(raw, scalar_size, compression);
  const auto size = static_cast<std::uint32_t>(raw.size());
  const Digest digest = digest_of(raw);
  const Bytes& stored = encoded.codec == format::Codec::raw ? raw : encoded.bytes;
  const auto number = writer_.add_chunk(digest, size, encoded.codec, stored);
  manifest.references.push_back({{{}, number}, digest, size});
  return static_cast<std::uint32_t>(manifest.references.size() - 1);
}

std::uint32_t Builder::storage(const Bytes& raw, std::size_t scalar_size,
                               format::Compression compression) {
  const auto reference = chunk(raw, scalar_size, compression);
  return storage_of({{reference, 0, static_cast<std::uint32_t>(raw.size())}});
}

std::uint32_t Builder::storage_of(std::vector<format::StoragePiece> pieces) {
  format::StorageEntry entry;
  for (const auto& piece : pieces) entry.size += piece.length;
  entry.pieces = std::move(pieces);
  manifest.storages.push_back(std::move(entry));
  return static_cast<std::uint32_t>(manifest.storages.size() - 1);
}

format::TensorEntry& Builder::tensor(const std::string& name, DType dtype, std::uint32_t storage,
                                     std::vector<std::int64_t> shape) {
  format::TensorEntry entry{.name = name, .dtype = dtype, .storage = storage};
  std::int64_t stride = 1;
  entry.strides.resize(shape.size());
  for (std::size_t d = shape.size(); d-- > 0;) {
    entry.strides[d] = stride;
    stride *= std::max<std::int64_t>(shape[d], 1);
  }
  entry.shape = std::move(shape);
  manifest.tensors.push_back(std::move(entry));
  return manifest.tensors.back();
}

Bytes Builder::finish() {
  std::sort(manifest.tensors.begin(), manifest.tensors.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  writer_.finish(std::span(&manifest, 1));
  return file_;
}

}  // namespace ckp::golden
