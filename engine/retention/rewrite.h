// Making packs smaller that are only kept for some of their chunks (spec/commit.md, W1 to W4).
#pragma once

#include <string>
#include <vector>

#include "retention/collect.h"

namespace ckp {

// Carries out `collection.rewrites`, one after the other, and drops from it those that could not
// be done. Returns a line for each of these, but for those where another process was faster.
std::vector<std::string> rewrite_packs(StoreCore& core, PackCache& cache, Collection& collection);

}  // namespace ckp
