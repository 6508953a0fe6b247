// Where the bytes of a state dict go: which spans of memory become storages, and how storages are
// cut into chunks, or small ones gathered into shared chunks (spec/format.md, "Storages").
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "ckp/format/manifest.h"
#include "ckp/state_dict.h"

namespace ckp {

// Memory that one storage of the manifest is made of: the union of what overlapping or touching
// views of one StateDict storage touch.
struct StorageSpan {
  const std::byte* data = nullptr;
  std::uint64_t size = 0;
  std::uint8_t scalar_size = 1;  // of the first tensor, in name order
};

// A part of a chunk's raw bytes: [offset, offset + size) of the chunk comes from `data`.
struct ChunkPart {
  const std::byte* data = nullptr;
  std::uint32_t offset = 0;
  std::uint32_t size = 0;
  std::uint32_t storage = 0;
  std::uint64_t storage_offset = 0;  // of `data`, in the storage
};

// A chunk to be made. Bytes that no part covers are zero.
struct PlannedChunk {
  std::uint64_t first_part = 0;  // in ChunkLayout::parts
  std::uint32_t part_count = 0;
  std::uint32_t raw_size = 0;
  std::uint8_t scalar_size = 1;
};

struct ChunkLayout {
  std::vector<StorageSpan> spans;              // one per storage of the manifest
  std::vector<format::StorageEntry> storages;  // `reference` of a piece: an index into `chunks`
  std::vector<format::TensorEntry> tensors;
  std::vector<std::uint8_t> check_finite;  // by tensor: TensorView::check_finite
  std::vector<PlannedChunk> chunks;
  std::vector<ChunkPart> parts;

  std::span<const ChunkPart> parts_of(const PlannedChunk& chunk) const {
    return std::span(parts).subspan(chunk.first_part, chunk.part_count);
  }
  std::uint64_t raw_size() const;  // of all chunks
};

// Error(invalid_argument) unless it is a multiple of 4096 up to the format's limit.
void check_chunk_size(std::uint32_t size);

// Reads no tensor's bytes. `chunk_size` is checked by the caller.
ChunkLayout plan_chunks(const StateDict& state, std::uint32_t chunk_size);

// The chunk's raw bytes: where they lie in memory when they are one part, else gathered in
// `scratch`.
std::span<const std::byte> chunk_bytes(const ChunkLayout& layout, const PlannedChunk& chunk,
                                       std::vector<std::byte>& scratch);

}  // namespace ckp
