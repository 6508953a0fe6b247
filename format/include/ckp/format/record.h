// The header that stands before every chunk, manifest and chunk table of a pack.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "ckp/digest.h"
#include "ckp/format/codec.h"
#include "ckp/uuid.h"

namespace ckp::format {

enum class RecordKind : std::uint8_t { chunk = 1, manifest = 2, chunk_table = 3 };

// A chunk as others point at it. The number never changes, also when a pack is rewritten.
struct ChunkAddress {
  Uuid pack;
  std::uint32_t number = 0;
  friend bool operator==(const ChunkAddress&, const ChunkAddress&) = default;
  friend auto operator<=>(const ChunkAddress&, const ChunkAddress&) = default;
};

// Fixed size (`size`), little-endian; its checksum also covers the pack's uuid, the file offset and
// the generation, so that a .ckp file inside a tensor, or a recycled disk block, is not taken for a
// record of this pack.
struct RecordHeader {
  static constexpr std::size_t size = 128;

  RecordKind kind = RecordKind::chunk;
  Codec codec = Codec::raw;
  std::uint32_t number = 0;  // chunk number, or the manifest's number in this pack
  std::uint32_t copy = 0;    // manifests stand twice: copy 0 and copy 1
  std::uint64_t raw_size = 0;
  std::uint64_t stored_size = 0;
  Digest raw_digest;                  // of the raw bytes, checked after decoding
  std::uint64_t stored_checksum = 0;  // XXH3-64 of the stored bytes
  // The base of a delta; nil pack for none. Reserved in version 1: always none.
  ChunkAddress base;
  Digest base_digest;
  std::uint8_t base_depth = 0;
  std::uint64_t base_path = 0;  // stored bytes of all bases below this chunk
};

// Where a record stands, for the header's checksum.
struct RecordPlace {
  Uuid pack;
  std::uint64_t offset = 0;      // of the header, in the file
  std::uint32_t generation = 0;  // of the pack
};

std::array<std::byte, RecordHeader::size> encode_record_header(const RecordHeader& header,
                                                               const RecordPlace& place);

// `bytes` holds at least RecordHeader::size bytes. Throws Error(corrupt) for a wrong magic,
// checksum, kind, reserved field, or a size over the limits; Error(newer_format) for a codec or
// base this version does not know.
RecordHeader decode_record_header(std::span<const std::byte> bytes, const RecordPlace& place);

// Whether a record header's magic starts here; for scanning a damaged pack.
bool has_record_magic(std::span<const std::byte> bytes);

}  // namespace ckp::format
