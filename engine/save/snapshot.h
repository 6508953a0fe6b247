// A copy of a state, taken while its owner waits.
#pragma once

#include <cstdint>

#include "ckp/save.h"
#include "save/chunk_layout.h"
#include "save/staging.h"

namespace ckp {

struct StateSnapshot {
  ChunkLayout layout;  // its parts and spans lie in `memory`
  Value::Map values;
  Staging memory;
};

// Bytes that a snapshot of this layout copies.
std::uint64_t snapshot_size(const ChunkLayout& layout);

// Copies all that `layout`, the plan of a state, refers to, on `threads` threads. std::bad_alloc.
StateSnapshot take_snapshot(ChunkLayout layout, Value::Map values, StagingPool& pool,
                            unsigned threads);

}  // namespace ckp
