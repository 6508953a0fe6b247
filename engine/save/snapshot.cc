#include "save/snapshot.h"

#include <cstring>

#include "save/finite_check.h"
#include "save/parallel.h"

namespace ckp {
namespace {

struct Copy {
  std::byte* to = nullptr;
  const std::byte* from = nullptr;
  std::size_t size = 0;
};

// Finds room for every changed part, and says what is to be copied there.
std::vector<Copy> plan_copies(ChunkLayout& layout, const UnchangedChunks& unchanged,
                              Staging& memory) {
  const std::vector<bool> whole = storages_checked_whole(layout);
  std::vector<std::byte*> copies_of_spans(layout.spans.size());
  for (std::size_t i = 0; i < layout.spans.size(); ++i) {
    StorageSpan& span = layout.spans[i];
    if (whole[i]) copies_of_spans[i] = memory.allocate(span.size);
    span.data = copies_of_spans[i];
  }
  std::vector<Copy> copies;
  for (std::size_t i = 0; i < layout.chunks.size(); ++i) {
    const PlannedChunk& chunk = layout.chunks[i];
    for (ChunkPart& part : std::span(layout.parts).subspan(chunk.first_part, chunk.part_count)) {
      const std::byte* const from = std::exchange(part.data, nullptr);
      if (unchanged[i] != nullptr) continue;
      std::byte* const span = copies_of_spans[part.storage];
      std::byte* const to =
          span != nullptr ? span + part.storage_offset : memory.allocate(part.size);
      copies.push_back({to, from, part.size});
      part.data = to;
    }
  }
  return copies;
}

}  // namespace

std::uint64_t changed_size(const ChunkLayout& layout, const UnchangedChunks& unchanged) {
  std::uint64_t size = 0;
  for (std::size_t i = 0; i < layout.chunks.size(); ++i) {
    if (unchanged[i] != nullptr) continue;
    for (const ChunkPart& part : layout.parts_of(layout.chunks[i])) size += part.size;
  }
  return size;
}

Staging take_snapshot(ChunkLayout& layout, const UnchangedChunks& unchanged, StagingPool& pool,
                      unsigned threads) {
  Staging memory(pool, changed_size(layout, unchanged));
  const std::vector<Copy> copies = plan_copies(layout, unchanged, memory);
  parallel_for(copies.size(), threads,
               [&](std::size_t i) { std::memcpy(copies[i].to, copies[i].from, copies[i].size); });
  return memory;
}

}  // namespace ckp
