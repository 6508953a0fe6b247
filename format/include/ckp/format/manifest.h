// The description of one checkpoint: its tensors, where each chunk is, and its plain values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "ckp/dtype.h"
#include "ckp/format/record.h"
#include "ckp/value.h"

namespace ckp::format {

// Points at a chunk and says what its raw bytes must be. `address.pack` nil: the manifest's own
// pack.
struct ChunkReference {
  ChunkAddress address;
  Digest raw_digest;
  std::uint32_t raw_size = 0;
  friend bool operator==(const ChunkReference&, const ChunkReference&) = default;
};

// In place of an index: the piece has no chunk.
constexpr std::uint32_t no_reference = UINT32_MAX;

// `length` bytes at `offset` of the chunk behind `references[reference]`; or `no_reference`, and
// the piece is in Manifest::derived.
struct StoragePiece {
  std::uint32_t reference = 0;
  std::uint32_t offset = 0;
  std::uint32_t length = 0;
  friend bool operator==(const StoragePiece&, const StoragePiece&) = default;
};

// A storage is the concatenation of its pieces.
struct StorageEntry {
  std::uint64_t size = 0;
  std::vector<StoragePiece> pieces{};
  friend bool operator==(const StorageEntry&, const StorageEntry&) = default;
};

// Later changes to a storage: bytes [begin, begin + length) of it, the rows that
// `references[reference]` holds as decode_patch() reads them. What the pieces say is overwritten.
struct Patch {
  std::uint32_t storage = 0;  // index into Manifest::storages
  std::uint32_t reference = 0;
  std::uint64_t begin = 0;
  std::uint64_t length = 0;
  friend bool operator==(const Patch&, const Patch&) = default;
};

// How a later version of some bytes is told by the version before: numbers in files, never reused.
enum class DifferenceKind : std::uint8_t {
  exclusive_or = 1,  // of the bytes
  // Of elements of 2, 4 or 8 bytes: their distance, once each has been rotated left by one bit.
  elements16 = 2,
  elements32 = 3,
  elements64 = 4,
};

// A whole piece of a storage has changed since its chunk was stored: `references[reference]` holds
// the difference, as long as the piece, to what the piece was before (apply_difference()).
struct Difference {
  std::uint32_t storage = 0;  // index into Manifest::storages
  std::uint32_t piece = 0;    // index into the storage's pieces
  std::uint32_t reference = 0;
  DifferenceKind kind = DifferenceKind::exclusive_or;
  friend bool operator==(const Difference&, const Difference&) = default;
};

// How float32 numbers became two bytes each, to nearest, ties to even: numbers in files, never
// reused.
enum class Rounding : std::uint8_t { bfloat16 = 1, float16 = 2 };

// A piece without a chunk: its elements are those of the same numbers of `source`, which holds
// float32 numbers, rounded (round_floats()).
struct DerivedPiece {
  std::uint32_t storage = 0;  // index into Manifest::storages
  std::uint32_t piece = 0;    // index into the storage's pieces
  std::uint32_t source = 0;   // index into Manifest::storages; it has no derived pieces
  Rounding rounding = Rounding::bfloat16;
  friend bool operator==(const DerivedPiece&, const DerivedPiece&) = default;
};

namespace tensor_flag {
constexpr std::uint16_t conjugate = 1;  // the conj bit of PyTorch
constexpr std::uint16_t negative = 2;   // the neg bit of PyTorch
constexpr std::uint16_t requires_grad = 4;
constexpr std::uint16_t known = 7;
}  // namespace tensor_flag

// A strided view of a storage. Tensors may share a storage.
struct TensorEntry {
  std::string name{};  // "model/conv1.weight": part, slash, name; limits::name_size bytes at most
  DType dtype = DType::float32;
  std::uint16_t flags = 0;
  std::uint32_t storage = 0;        // index into Manifest::storages
  std::int64_t storage_offset = 0;  // in elements of dtype
  std::vector<std::int64_t> shape{};
  std::vector<std::int64_t> strides{};  // in elements; none negative
  // For a shard of a larger tensor: the whole tensor's shape and where this part starts in it.
  // Both empty when the tensor is whole.
  std::vector<std::int64_t> global_shape{};
  std::vector<std::int64_t> global_offset{};
  friend bool operator==(const TensorEntry&, const TensorEntry&) = default;
};

// Binary sections for what is many (tensors, storages, references), CBOR for what is descriptive.
struct Manifest {
  // Facts about the checkpoint: see CheckpointRecord in ckp/records.h for the keys.
  Value::Map checkpoint{};
  // The state dict's plain values, nested maps.
  Value::Map values{};
  std::vector<ChunkReference> references{};
  std::vector<StorageEntry> storages{};
  std::vector<TensorEntry> tensors{};  // sorted by name, names unique
  // By storage, rising; those of one storage in the order in which they are applied.
  std::vector<Patch> patches{};
  // By storage and piece, rising; those of one piece in the order in which they are applied. All of
  // them come before the patches.
  std::vector<Difference> differences{};
  // By storage and piece, rising: those without a chunk. What they are made of has its differences
  // and patches by then; their own storage's patches come on top.
  std::vector<DerivedPiece> derived{};
  friend bool operator==(const Manifest&, const Manifest&) = default;

  // By name, or nullptr.
  const TensorEntry* find(std::string_view name) const;
  // Those of a storage.
  std::span<const Patch> patches_of(std::uint32_t storage) const;
  std::span<const Difference> differences_of(std::uint32_t storage) const;
  std::span<const Difference> differences_of(std::uint32_t storage, std::uint32_t piece) const;
  std::span<const DerivedPiece> derived_of(std::uint32_t storage) const;
};

// Numbers of manifest sections, never reused. `structure_reference` is reserved.
enum class Section : std::uint16_t {
  checkpoint = 1,
  values = 2,
  references = 3,
  storages = 4,
  tensors = 5,
  structure_reference = 6,
  derived = 7,
  patches = 8,
  differences = 9,
};

// The raw (uncompressed) bytes of a manifest. Throws Error(invalid_argument) for a manifest that
// decode_manifest would not take.
std::vector<std::byte> encode_manifest(const Manifest& manifest);
// Checks everything before it allocates: names, ranks, that each tensor lies within its storage,
// that pieces lie within chunks or are derived and add up to the storage, that patches lie within
// storages, that differences are as long as their pieces, that what pieces are derived from is
// there and not derived itself. Throws Error(corrupt) naming section, entry and field;
// Error(newer_format) for a section marked as required that this version does not know.
Manifest decode_manifest(std::span<const std::byte> raw);

}  // namespace ckp::format
