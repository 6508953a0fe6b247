// Retiring checkpoints and collecting what nothing needs (spec/commit.md, R1 to R6).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "ckp/store.h"
#include "store/store_core.h"

namespace ckp {

PrunePlan plan_prune(StoreCore& core, const KeepPolicy& policy, std::span<const std::string> runs);
PrunePlan prune(StoreCore& core, const KeepPolicy& policy, std::span<const std::string> runs);
// Return the bytes of the files that went.
std::uint64_t remove_checkpoints(StoreCore& core, std::span<const Uuid> checkpoints);
std::uint64_t remove_run(StoreCore& core, std::string_view name_or_id);

}  // namespace ckp
