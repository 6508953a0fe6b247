// Large storages of which few rows change from save to save: what is stored is the rows, as patches
// on what was committed (spec/commit.md, "Changed rows").
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "ckp/format/manifest.h"
#include "save/chunk_layout.h"

namespace ckp {

// Rows are compared, and stored, as a whole. 64 float32: a row of a usual embedding is a multiple.
constexpr std::uint32_t patch_row_size = 256;

// Consecutive chunks of one storage that hold nothing else: what one patch is for.
struct Region {
  std::uint32_t storage = 0;
  std::uint64_t begin = 0;  // in the storage
  std::uint64_t length = 0;
  std::size_t first_chunk = 0;
  std::size_t chunk_count = 0;
};

// At most 16 MiB each, or one chunk. Chunks of storages that share them are in none.
std::vector<Region> find_regions(const ChunkLayout& layout);

// What is stored on top of a region's chunks.
struct RegionPatches {
  std::uint64_t begin = 0;  // of the region, in its storage
  std::uint64_t length = 0;
  std::vector<format::ChunkReference> patches;  // in order, each for the whole region
  std::uint64_t cost = 0;                       // see within_budget()
};

// By row of a chunk; the last may be shorter.
using RowHashes = std::vector<std::uint64_t>;

// Whether one more patch, of `patch_size` raw bytes, on a region with `before` (null: none) keeps
// reading the region at less than twice the cost of reading its chunks alone. `stagger` is a number
// of the region's own: regions that began together do not all reach their limit in one save.
bool within_budget(const Region& region, const RegionPatches* before, std::uint64_t patch_size,
                   std::uint64_t stagger);
// The same with that patch added; its reference has a nil pack.
RegionPatches with_patch(const Region& region, const RegionPatches* before,
                         const format::ChunkReference& patch);

}  // namespace ckp
