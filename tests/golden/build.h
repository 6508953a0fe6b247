// Small packs for the golden files, made through the public interface only.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "ckp/format/pack.h"

namespace ckp::golden {

using Bytes = std::vector<std::byte>;

// 00 01 02 ... with the last byte replaced, so that a hex dump shows where it is.
Uuid uuid_ending_in(unsigned char last);

// The elements' bytes, little-endian.
template <class T>
Bytes elements(std::initializer_list<T> values) {
  Bytes bytes;
  for (const T value : values) {
    for (std::size_t i = 0; i < sizeof(T); ++i) {
      bytes.push_back(static_cast<std::byte>((value >> (8 * i)) & 0xff));
    }
  }
  return bytes;
}

// A storage of bytes (model/bias), and one of two chunks with two patches that overlap. The second
// one is of `length` bytes: 32 fit, with less its last row lies behind them.
Bytes patched_pack(std::uint64_t length = 32);

// A storage of three pieces in two chunks: of the first piece, part of a chunk, two 32-bit
// differences; of the last, of seven bytes, one of each other kind. A patch comes on top.
Bytes differences_pack();

// A storage of twelve bytes whose first piece is derived, as bfloat16, of a storage of float32
// numbers with a difference and a patch, and whose last has a chunk; a patch comes on top. One of
// float16 numbers, derived from the same.
Bytes derived_pack();

class Builder {
 public:
  explicit Builder(const format::PackHeader& header);

  // Adds a chunk and returns its reference's index in the manifest.
  std::uint32_t chunk(const Bytes& raw, std::size_t scalar_size, format::Compression compression);
  // Adds a storage that is one whole chunk, and returns its index.
  std::uint32_t storage(const Bytes& raw, std::size_t scalar_size,
                        format::Compression compression = format::Compression::balanced);
  std::uint32_t storage_of(std::vector<format::StoragePiece> pieces);
  format::TensorEntry& tensor(const std::string& name, DType dtype, std::uint32_t storage,
                              std::vector<std::int64_t> shape);

  format::Manifest manifest;
  Bytes finish();

 private:
  Bytes file_;
  format::PackWriter writer_;
};

}  // namespace ckp::golden
