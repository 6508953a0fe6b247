// Giving aliases to checkpoints.
#pragma once

#include <string_view>

#include "ckp/aliases.h"
#include "ckp/records.h"
#include "store/store_core.h"

namespace ckp {

// As the functions of Store.
AliasChange promote(StoreCore& core, const CheckpointRecord& checkpoint, std::string_view alias,
                    const PromoteOptions& options);
AliasChange roll_back(StoreCore& core, std::string_view alias, const std::string& note);
AliasChange remove_alias(StoreCore& core, std::string_view alias, const std::string& note);
// What the alias points at; `time_ns`: what it pointed at then. Error(not_found) names those that
// there are.
Uuid resolve_alias(const StoreCore& core, std::string_view alias,
                   std::optional<std::int64_t> time_ns = std::nullopt);

}  // namespace ckp
