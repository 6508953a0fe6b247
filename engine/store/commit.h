// C1 to C9: finished temporary packs become checkpoints (spec/commit.md).
#pragma once

#include <cstdint>
#include <exception>
#include <filesystem>
#include <map>
#include <span>
#include <vector>

#include "ckp/records.h"
#include "store/index_sync.h"
#include "store/registration.h"
#include "store/store_core.h"

namespace ckp {

// One pack to be committed, and what came of it. It must have been fsynced (S4).
struct Commit {
  Registration* registration = nullptr;
  CheckpointRecord record;       // complete but for `commit`, which is filled in
  std::vector<ChunkRow> chunks;  // stored in this pack
  // Other packs it needs, and where each was when it was opened; empty: not known.
  std::map<Uuid, std::filesystem::path> referred_packs;

  std::filesystem::path path;  // the checkpoint's, when there is no error
  std::exception_ptr error = nullptr;
};

// Commits one pack or more of one run, in their order, with one commit point: on return every
// checkpoint without an error is durable. The error of a commit is Error(locked) when a newer
// attempt has taken the run over, Error(corrupt) when a pack it refers to is gone, ...; its
// temporary pack is still the registration's then. `last_seen`: the store's commit number when the
// caller's attempt was known to be the newest, after its last commit for example.
void commit_packs(StoreCore& core, std::uint64_t last_seen, std::span<Commit> commits) noexcept;

}  // namespace ckp
