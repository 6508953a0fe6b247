#include "save/patched_region.h"

namespace ckp {
namespace {

constexpr std::uint64_t region_size = std::uint64_t{16} << 20;
constexpr std::size_t most_patches = 128;
// To find and open a patch, as if it were so many bytes more.
constexpr std::uint64_t cost_of_one = 4096;

std::uint64_t cost_with(const RegionPatches* before, std::uint64_t patch_size) {
  return (before != nullptr ? before->cost : 0) + patch_size + cost_of_one;
}

}  // namespace

std::vector<Region> find_regions(const ChunkLayout& layout) {
  std::vector<Region> regions;
  for (std::size_t i = 0; i < layout.chunks.size(); ++i) {
    const PlannedChunk& chunk = layout.chunks[i];
    if (chunk.part_count != 1) continue;
    const ChunkPart& part = layout.parts_of(chunk).front();
    if (part.offset != 0 || part.size != chunk.raw_size) continue;
    if (!regions.empty()) {
      Region& last = regions.back();
      const bool continues = last.storage == part.storage &&
                             last.first_chunk + last.chunk_count == i &&
                             last.begin + last.length == part.storage_offset;
      if (continues && last.length + part.size <= region_size) {
        last.length += part.size;
        ++last.chunk_count;
        continue;
      }
    }
    regions.push_back({part.storage, part.storage_offset, part.size, i, 1});
  }
  return regions;
}

bool within_budget(const Region& region, const RegionPatches* before, std::uint64_t patch_size,
                   std::uint64_t stagger) {
  if (before != nullptr && before->patches.size() >= most_patches) return false;
  // Between a half and the whole of the region.
  const std::uint64_t limit = region.length / 2 + region.length / 2 * (stagger >> 48) / 65536;
  return cost_with(before, patch_size) <= limit;
}

RegionPatches with_patch(const Region& region, const RegionPatches* before,
                         const format::ChunkReference& patch) {
  RegionPatches result = before != nullptr ? *before : RegionPatches{};
  result.begin = region.begin;
  result.length = region.length;
  result.patches.push_back(patch);
  result.cost = cost_with(before, patch.raw_size);
  return result;
}

}  // namespace ckp
