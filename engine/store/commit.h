// C1 to C9: finished temporary packs become checkpoints (spec/commit.md).
#pragma once

#include <cstdint>
#include <exception>
#include <filesystem>
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
  CheckpointRecord record;           // complete but for `commit`, which is filled in
  std::vector<ChunkRow> chunks;      // stored in this pack
  std::vector<Uuid> referred_packs;  // other packs it needs

  std::filesystem::path path;  // the checkpoint's, when there is no error
  std::exception_ptr error = nullptr;
};

// Commits one pack or more of one run, in their order, with one commit point: on return every
// checkpoint without an error is durable. The error of a commit is Error(locked) when a newer
// attempt has taken the run over, Error(corrupt) when a pack it refers to is gone, ...; its
// temporary pack is still the registration's then.
void commit_packs(StoreCore& core, std::span<Commit> commits) noexcept;

}  // namespace ckp
