#include "save/snapshot.h"

#include <cstring>

#include "save/parallel.h"

namespace ckp {

std::uint64_t snapshot_size(const ChunkLayout& layout) {
  std::uint64_t size = 0;
  for (const StorageSpan& span : layout.spans) size += span.size;
  return size;
}

// Spans stay whole: the check for NaN in tensors with gaps walks them. Large ones are copied in the
// pieces that their chunks are.
StateSnapshot take_snapshot(ChunkLayout layout, Value::Map values, StagingPool& pool,
                            unsigned threads) {
  constexpr std::uint64_t rounding = 64;
  Staging memory(pool, snapshot_size(layout) + rounding * layout.spans.size());
  StateSnapshot snapshot{std::move(layout), std::move(values), std::move(memory)};
  std::vector<const std::byte*> sources;
  sources.reserve(snapshot.layout.parts.size());
  for (StorageSpan& span : snapshot.layout.spans) {
    if (span.size > 0) span.data = snapshot.memory.allocate(span.size);
  }
  for (ChunkPart& part : snapshot.layout.parts) {
    sources.push_back(part.data);
    part.data = snapshot.layout.spans[part.storage].data + part.storage_offset;
  }
  parallel_for(sources.size(), threads, [&](std::size_t i) {
    const ChunkPart& part = snapshot.layout.parts[i];
    std::memcpy(const_cast<std::byte*>(part.data), sources[i], part.size);
  });
  return snapshot;
}

}  // namespace ckp
