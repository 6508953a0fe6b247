// Saying something about a checkpoint or a run after it was saved (spec/commit.md, "Marks").
#pragma once

#include <span>
#include <string>

#include "ckp/later_fact.h"
#include "ckp/records.h"
#include "store/store_core.h"

namespace ckp {

// Who says it, and when, is filled in. Return the record as it is then. What they refuse, and
// their errors, are as at Store::tag.
CheckpointRecord attach(StoreCore& core, const Uuid& checkpoint, std::span<const LaterFact> facts);
RunRecord attach_note(StoreCore& core, const RunRecord& run, const std::string& text);

}  // namespace ckp
