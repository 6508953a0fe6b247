// A copy of a state, taken while its owner waits.
#pragma once

#include <cstdint>

#include "ckp/save.h"
#include "save/chunk_layout.h"
#include "save/committed_state.h"
#include "save/staging.h"

namespace ckp {

// Bytes of the chunks that are not in `unchanged`.
std::uint64_t changed_size(const ChunkLayout& layout, const UnchangedChunks& unchanged);

// Copies the changed chunks of `layout`, the plan of a state, on `threads` threads. Afterwards
// their parts, and the spans that FiniteCheck needs, lie in the memory that is returned, and no
// other pointer in `layout` is set. std::bad_alloc.
Staging take_snapshot(ChunkLayout& layout, const UnchangedChunks& unchanged, StagingPool& pool,
                      unsigned threads);

}  // namespace ckp
