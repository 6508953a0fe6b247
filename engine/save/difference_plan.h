// Which chunks that have changed as a whole are stored as differences to what was committed at
// their place (spec/commit.md, "Differences").
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "save/buffer_pool.h"
#include "save/region_plan.h"

namespace ckp {

class DifferencePlan {
 public:
  // All outlive it.
  DifferencePlan(const ChunkLayout& layout, const ComparedState& compared,
                 const RegionPlan& regions, const EncodeOptions& options);

  // Once `regions` has decided. Reads a chunk of each region back of which it is not known whether
  // differences pay.
  void decide(ChunkFinder& finder, unsigned threads);

  // The difference to what was committed; nothing where it does not pay, or what was committed
  // cannot be read. On several threads at once, of different chunks.
  struct Made {
    format::DifferenceKind kind = format::DifferenceKind::exclusive_or;
    BufferPool::Lease bytes;
  };
  std::optional<Made> make(std::size_t chunk, ChunkFinder& finder);

  // What is to be remembered of a chunk that has changed, whose differences are `now`.
  void remember(std::size_t chunk, std::span<const CommittedDifference> now,
                CommittedChunk& out) const;

 private:
  bool is_candidate(std::size_t chunk, ChunkFinder& finder) const;
  BufferPool::Lease read_committed(std::size_t chunk, ChunkFinder& finder);
  std::optional<format::DifferenceKind> judge(std::size_t chunk,
                                              std::span<const std::byte> before) const;
  std::span<const std::byte> bytes_of(std::size_t chunk) const;

  const ChunkLayout& layout_;
  const ComparedState& compared_;
  const RegionPlan& regions_;
  double largest_part_ = 0;              // of what the chunk alone would take; 0: no differences
  std::vector<DifferenceTrial> trials_;  // by chunk; empty: no differences
  std::vector<bool> wanted_;             // by chunk
  BufferPool buffers_;
};

// Whether all that a committed chunk is made of may be referred to, its patches apart.
bool is_live(const CommittedChunk& chunk, ChunkFinder& finder);

}  // namespace ckp
