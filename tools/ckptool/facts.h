// The facts about one checkpoint as rows for people.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "ckp/records.h"
#include "ckp/search.h"

namespace ckp::tool {

using Facts = std::vector<std::pair<std::string, std::string>>;

// Address, counters, size, time, marks.
Facts checkpoint_facts(const CheckpointRecord& checkpoint);
Facts metric_facts(const CheckpointRecord& checkpoint);
// What was said after the save, with when and by whom, below a heading; nothing when nothing was.
std::string later_text(const std::vector<LaterFact>& later);
// "best", "final", "superseded", ...: what ls shows.
std::vector<std::string> flags_of(const FoundCheckpoint& found);

}  // namespace ckp::tool
