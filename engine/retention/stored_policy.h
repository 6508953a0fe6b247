// The policies that a store keeps (spec/store.md, "Marks"): setting them, and deciding by them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "ckp/retention.h"
#include "store/marks.h"
#include "store/store_core.h"

namespace ckp {

// Error(newer_format) when one of them has a rule of which this version does not know: without it
// too much would go.
StoredPolicies policies_of(const Marks& marks);

// As Store::set_policy and clear_policy.
void set_policy(StoreCore& core, const KeepPolicy& policy, std::string_view run);
void clear_policy(StoreCore& core, std::string_view run);

// By what the store keeps for this run, or null: then everything stays. So it does where a rule
// for the best, or all the tags when there is no other rule, match nothing yet: what was said once
// and for all must not take everything of a run that has only begun.
std::vector<KeepDecision> decide_by_stored(const StoredPolicy* policy, const RunRecord& run,
                                           std::span<const CheckpointRecord> checkpoints,
                                           std::int64_t now_ns);

}  // namespace ckp
