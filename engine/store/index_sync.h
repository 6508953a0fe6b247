// Bringing an index up to date with the files: the one way in which it is resynced and rebuilt.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "ckp/store.h"
#include "index/index.h"
#include "load/open_pack.h"
#include "runs/later_facts.h"
#include "store/layout.h"

namespace ckp {

// The chunks that a pack stores, as rows for the index.
std::vector<ChunkRow> chunk_rows(const format::PackDirectory& pack);

// What becomes of rows of which no file is left, not even one that is retired or dead.
enum class Unfound {
  dropped,  // others may have taken them away and not told this index
  // Whoever takes a checkpoint away tells this index before the file goes (spec/commit.md, R5), so
  // these were lost. Their rows are all that is left to say so; repair drops them.
  kept,
};

// Adds the runs and checkpoints that `index` lacks, and drops what is gone from the files. On an
// empty index that is a rebuild. `facts`: what has been said since they were saved; when it is
// unknown, what the index has heard of it stays. To be called under the store's lock. Packs that
// cannot be read are left out: `verify` names them.
Store::RebuildReport sync_index(FileSystem& fs, const StoreLayout& layout, Index& index,
                                Unfound unfound, const std::optional<LaterFacts>& facts);

}  // namespace ckp
