// Which regions of a state are stored as patches, and of which rows.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "save/chunk_layout.h"
#include "save/patched_region.h"
#include "save/state_writer.h"

namespace ckp {

class RegionPlan {
 public:
  // Both outlive it. Nothing is patched of a state that is compared with nothing.
  RegionPlan(const ChunkLayout& layout, const ComparedState& compared);

  // The chunk is derived now: it has no past, and its region gets no patches. Before decide().
  void leave_out(std::size_t chunk) {
    if (!committed_.empty()) committed_[chunk] = nullptr;
  }

  // Whether it pays to hash the rows of a chunk that has changed. Where most rows have changed
  // twice in a row, it is tried again only now and then.
  bool wants_rows(std::size_t chunk) const;

  // Once the changed chunks have their rows in `chunks`. Rows of chunks of which most have changed
  // twice in a row are taken out again.
  void decide(std::vector<CommittedChunk>& chunks, ChunkFinder& finder, unsigned threads);

  // The chunk stays what it was, and the region's patches say the rest; null: it does not.
  const Region* patched_region(std::size_t chunk) const;
  // Unchanged, and yet to be stored: its patches are given up.
  bool is_flattened(std::size_t chunk) const;

  struct NewPatch {
    std::size_t region = 0;
    std::vector<std::uint32_t> rows;
    std::uint64_t row_bytes = 0;
  };
  const std::vector<NewPatch>& new_patches() const { return new_patches_; }
  const std::vector<Region>& regions() const { return regions_; }
  // What was committed of the region that `chunk`, in a patched region, is in; null: no patches.
  std::shared_ptr<RegionPatches> patches_before(const Region& region) const {
    return committed_[region.first_chunk]->patched;
  }
  // At the place of a chunk; null: nothing is known, or it is in no region.
  const CommittedChunk* committed(std::size_t chunk) const {
    return committed_.empty() ? nullptr : committed_[chunk];
  }

  // The raw bytes of a new patch's chunk.
  void encode(const NewPatch& patch, std::vector<std::byte>& out) const;

 private:
  enum class Form : std::uint8_t { whole, kept, patched };
  bool is_known(const Region& region) const;
  bool is_live(const Region& region, ChunkFinder& finder) const;
  Form decide(const Region& region, std::vector<CommittedChunk>& chunks, ChunkFinder& finder,
              NewPatch& patch) const;

  const ChunkLayout& layout_;
  const ComparedState& compared_;
  std::vector<Region> regions_;
  std::vector<Form> forms_;                       // by region
  std::vector<std::uint32_t> region_of_;          // by chunk: 1 + its region, 0: none
  std::vector<const CommittedChunk*> committed_;  // by chunk; null: nothing is known
  std::vector<NewPatch> new_patches_;
};

}  // namespace ckp
