// The facts about one checkpoint as rows for people.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "ckp/records.h"

namespace ckp::tool {

using Facts = std::vector<std::pair<std::string, std::string>>;

// Address, counters, size, time, marks.
Facts checkpoint_facts(const CheckpointRecord& checkpoint);
Facts metric_facts(const CheckpointRecord& checkpoint);

}  // namespace ckp::tool
