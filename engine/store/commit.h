// C1 to C9: a finished temporary pack becomes a checkpoint (spec/commit.md).
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "ckp/records.h"
#include "store/index_sync.h"
#include "store/registration.h"
#include "store/store_core.h"

namespace ckp {

struct CommitRequest {
  CheckpointRecord record;           // complete but for `commit`
  std::vector<ChunkRow> chunks;      // stored in this pack
  std::vector<Uuid> referred_packs;  // other packs it needs
};

struct CommitResult {
  std::uint64_t commit = 0;
  std::filesystem::path path;
};

// The pack must have been fsynced (S4). On return the checkpoint is durable. Throws Error(locked)
// when a newer attempt has taken the run over, Error(corrupt) when a pack it refers to is gone; the
// temporary pack is then still the registration's.
CommitResult commit_pack(StoreCore& core, Registration& registration, const CommitRequest& request);

}  // namespace ckp
