// What prune makes sure of before it deletes anything (spec/commit.md, R1): that the
// checkpoints `going` may go. Each throws an Error that names the way on.
#pragma once

#include <set>

#include "retention/snapshot.h"
#include "store/store_core.h"

namespace ckp {

// Whether any live pack could not be read: damaged, newer, or renamed since it was listed.
bool has_unreadable(const Snapshot& snapshot);

// Every checkpoint of the runs `chosen` for the prune can be judged, and what it needs is known:
// its manifest is readable. Throws with the reading's own code.
void check_all_readable(StoreCore& core, const Snapshot& snapshot, const std::set<Uuid>& chosen,
                        const std::set<Uuid>& going);

// No run that would lose a checkpoint has lost one behind the store's back: Error(corrupt). To be
// asked outside the lock.
void check_none_lost(StoreCore& core, const Snapshot& snapshot, const std::set<Uuid>& going);

// I3, in deed: the newest resumable checkpoint of a run that would lose others really loads.
// Error(corrupt).
void check_survivors(StoreCore& core, const Snapshot& snapshot, const std::set<Uuid>& going);

}  // namespace ckp
