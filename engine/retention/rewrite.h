// Making packs smaller that are only kept for some of their chunks (spec/commit.md, W1 to W4).
#pragma once

#include <string>
#include <vector>

#include "retention/collect.h"

namespace ckp {

// Carries out `collection.rewrites`, one after the other, and drops from it those that could not
// be done: for want of space, because something is damaged, or because another process was faster.
// Returns a line for each of these.
std::vector<std::string> rewrite_packs(StoreCore& core, PackCache& cache, Collection& collection);

}  // namespace ckp
