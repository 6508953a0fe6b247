#include "save/region_plan.h"

#include <algorithm>
#include <utility>

#include "ckp/format/patch.h"
#include "save/parallel.h"

namespace ckp {
namespace {

// Of the chunks that have changed, a patch is to be at most so much.
constexpr std::uint64_t smallest_gain = 8;
// Chunks of which most rows changed twice in a row are asked again in every so many saves.
constexpr std::uint64_t try_again = 32;

constexpr std::uint64_t patch_header = 8, gap_size = 4;  // spec/format.md, "Patches"

// Rows of `chunk`, which begins at row `first`, that are not as they were.
std::vector<std::uint32_t> changed_rows(const RowHashes& before, const RowHashes& now,
                                        std::uint32_t first) {
  std::vector<std::uint32_t> rows;
  for (std::size_t i = 0; i < now.size(); ++i) {
    if (now[i] != before[i]) rows.push_back(first + static_cast<std::uint32_t>(i));
  }
  return rows;
}

}  // namespace

RegionPlan::RegionPlan(const ChunkLayout& layout, const ComparedState& compared)
    : layout_(layout), compared_(compared) {
  if (compared.fingerprinter == nullptr) return;
  regions_ = find_regions(layout);
  forms_.assign(regions_.size(), Form::whole);
  region_of_.resize(layout.chunks.size());
  committed_.resize(layout.chunks.size());
  for (std::size_t r = 0; r < regions_.size(); ++r) {
    for (std::size_t i = 0; i < regions_[r].chunk_count; ++i) {
      const std::size_t chunk = regions_[r].first_chunk + i;
      region_of_[chunk] = static_cast<std::uint32_t>(r + 1);
      if (compared.committed == nullptr) continue;
      const auto found = compared.committed->find(compared.places[chunk]);
      const bool has_bytes = found != compared.committed->end() && !found->second.derived;
      if (has_bytes) committed_[chunk] = &found->second;
    }
  }
}

bool RegionPlan::wants_rows(std::size_t chunk) const {
  if (region_of_.empty() || region_of_[chunk] == 0) return false;
  const CommittedChunk* const before = committed_[chunk];
  return before == nullptr || before->rows != nullptr || (compared_.turn + chunk) % try_again == 0;
}

// As it is now, with all its chunks, and with no differences: what has those gets no patches.
bool RegionPlan::is_known(const Region& region) const {
  const auto chunks = std::span(committed_).subspan(region.first_chunk, region.chunk_count);
  if (std::ranges::count(chunks, nullptr) != 0) return false;
  if (std::ranges::any_of(chunks, [](const auto* chunk) { return !chunk->differences.empty(); })) {
    return false;
  }
  const auto& patched = chunks.front()->patched;
  if (patched && (patched->begin != region.begin || patched->length != region.length)) return false;
  return std::ranges::all_of(chunks, [&](const auto* chunk) { return chunk->patched == patched; });
}

bool RegionPlan::is_live(const Region& region, ChunkFinder& finder) const {
  const auto chunks = std::span(committed_).subspan(region.first_chunk, region.chunk_count);
  const auto live = [&](const format::ChunkReference& each) { return finder.is_live(each); };
  const auto& patched = chunks.front()->patched;
  return std::ranges::all_of(chunks, live, [](const auto* chunk) { return chunk->reference; }) &&
         (patched == nullptr || std::ranges::all_of(patched->patches, live));
}

RegionPlan::Form RegionPlan::decide(const Region& region, std::vector<CommittedChunk>& chunks,
                                    ChunkFinder& finder, NewPatch& patch) const {
  if (!is_known(region)) return Form::whole;
  std::uint64_t changed_bytes = 0;
  bool comparable = true;
  for (std::size_t i = 0; i < region.chunk_count; ++i) {
    const std::size_t chunk = region.first_chunk + i;
    if (compared_.unchanged[chunk] != nullptr) continue;
    changed_bytes += layout_.chunks[chunk].raw_size;
    const auto& before = committed_[chunk]->rows;
    auto& now = chunks[chunk].rows;
    if (before == nullptr || now == nullptr) {
      comparable = false;
      continue;
    }
    const std::uint64_t begin = layout_.parts_of(layout_.chunks[chunk]).front().storage_offset;
    const auto first = static_cast<std::uint32_t>((begin - region.begin) / patch_row_size);
    const auto rows = changed_rows(*before, *now, first);
    chunks[chunk].dense = rows.size() > now->size() / 2;
    if (chunks[chunk].dense && committed_[chunk]->dense) now.reset();
    patch.rows.insert(patch.rows.end(), rows.begin(), rows.end());
  }
  if (!comparable) return Form::whole;
  const auto& before = committed_[region.first_chunk]->patched;
  if (patch.rows.empty()) {
    return before != nullptr && is_live(region, finder) ? Form::kept : Form::whole;
  }
  const std::uint64_t last = std::uint64_t{patch.rows.back()} * patch_row_size;
  patch.row_bytes = (patch.rows.size() - 1) * std::uint64_t{patch_row_size} +
                    std::min<std::uint64_t>(patch_row_size, region.length - last);
  const std::uint64_t size = patch_header + patch.row_bytes + patch.rows.size() * gap_size;
  const bool pays =
      size * smallest_gain <= changed_bytes &&
      within_budget(region, before.get(), size, compared_.places[region.first_chunk].low);
  return pays && is_live(region, finder) ? Form::patched : Form::whole;
}

void RegionPlan::decide(std::vector<CommittedChunk>& chunks, ChunkFinder& finder,
                        unsigned threads) {
  if (compared_.committed == nullptr) return;
  std::vector<NewPatch> patches(regions_.size());
  parallel_for(regions_.size(), threads, [&](std::size_t i) {
    patches[i].region = i;
    forms_[i] = decide(regions_[i], chunks, finder, patches[i]);
  });
  for (std::size_t i = 0; i < regions_.size(); ++i) {
    if (forms_[i] == Form::patched) new_patches_.push_back(std::move(patches[i]));
  }
}

const Region* RegionPlan::patched_region(std::size_t chunk) const {
  if (region_of_.empty() || region_of_[chunk] == 0) return nullptr;
  const std::size_t region = region_of_[chunk] - 1;
  return forms_[region] == Form::whole ? nullptr : &regions_[region];
}

bool RegionPlan::is_flattened(std::size_t chunk) const {
  if (compared_.unchanged.empty() || compared_.unchanged[chunk] == nullptr) return false;
  return compared_.unchanged[chunk]->patched != nullptr && patched_region(chunk) == nullptr;
}

void RegionPlan::encode(const NewPatch& patch, std::vector<std::byte>& out) const {
  const Region& region = regions_[patch.region];
  const std::uint64_t chunk_size = layout_.chunks[region.first_chunk].raw_size;
  const auto row_bytes = [&](std::uint32_t row) -> std::span<const std::byte> {
    const std::uint64_t at = std::uint64_t{row} * patch_row_size;
    const PlannedChunk& chunk = layout_.chunks[region.first_chunk + at / chunk_size];
    const std::uint64_t in_chunk = at % chunk_size;
    const std::uint64_t size = std::min<std::uint64_t>(patch_row_size, chunk.raw_size - in_chunk);
    return {layout_.parts_of(chunk).front().data + in_chunk, size};
  };
  format::encode_patch(patch_row_size, patch.rows, row_bytes, out);
}

}  // namespace ckp
