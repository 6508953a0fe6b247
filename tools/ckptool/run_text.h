// A run's record for people and as JSON: what it is, and what each attempt had.
#pragma once

#include <string>

#include "ckp/filter.h"
#include "json.h"

namespace ckp::tool {

std::string run_text(const RunHistory& history);
// to_json() of the record, with its hours.
Json history_json(const RunHistory& history);

// What a checkpoint was made by: the attempt of its run that saved it, with what held in it.
std::string maker_text(const RunRecord& run, std::uint32_t attempt);
Json maker_json(const RunRecord& run, std::uint32_t attempt);

}  // namespace ckp::tool
