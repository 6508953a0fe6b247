// Retiring checkpoints and collecting what nothing needs (spec/commit.md, R1 to R6).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "ckp/store.h"
#include "store/run_scan.h"
#include "store/store_core.h"

namespace ckp {

// Throws when retiring and collecting are not allowed: Error(unsupported) on a remote file system
// without `exclusive`, Error(newer_format) as StoreCore::check_writable.
void check_may_delete(const StoreCore& core, const PruneOptions& options);

// `policy` null: what the store keeps decides, for each run by itself. Error(invalid_argument) when
// it keeps no policy.
PrunePlan plan_prune(StoreCore& core, const KeepPolicy* policy, std::span<const std::string> runs,
                     const PruneOptions& options);
PrunePlan prune(StoreCore& core, const KeepPolicy* policy, std::span<const std::string> runs,
                const PruneOptions& options);
// Return the bytes that were freed.
std::uint64_t remove_checkpoints(StoreCore& core, std::span<const Uuid> checkpoints,
                                 const PruneOptions& options);
std::uint64_t remove_run(StoreCore& core, std::string_view name_or_id, const PruneOptions& options);
// Removes the run if it has no checkpoint; false when it has, is held, or is gone.
bool remove_empty_run(StoreCore& core, const RunDirectory& directory);

}  // namespace ckp
