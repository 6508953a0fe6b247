// What can go: the roots, what they need, and the rest (spec/commit.md, R3 and R4).
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "retention/snapshot.h"

namespace ckp {

struct Collection {
  std::set<Uuid> doomed;             // packs that can go once `going` is retired
  std::map<Uuid, std::string> held;  // packs of `going` that must stay, with the reason
  std::vector<LooseFile> garbage;    // dead files, and temporary packs without an owner
  std::uint64_t bytes = 0;           // of doomed and garbage
};

// `going`: live checkpoints that are about to be retired (or just were).
Collection plan_collection(const Snapshot& snapshot, const std::set<Uuid>& going);

// Carries out a retirement and the collection that follows, under `lock` up to R5; then R6.
// `snapshot` and `collection` must have been taken under this lock.
void retire_and_collect(StoreCore& core, StoreLock& lock, const Snapshot& snapshot,
                        const std::set<Uuid>& going, const Collection& collection);

// R6: removes files and directories that are dead by name.
void unlink_dead(StoreCore& core, const Snapshot& snapshot, const std::set<Uuid>& doomed,
                 const std::vector<LooseFile>& garbage);

}  // namespace ckp
