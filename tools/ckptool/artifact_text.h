// How artifacts look in tables and in JSON.
#pragma once

#include <string>
#include <vector>

#include "ckp/artifacts.h"
#include "json.h"

namespace ckp::tool {

Json to_json(const std::vector<Artifact>& artifacts);
// Empty when there are none.
std::string artifacts_table(const std::vector<Artifact>& artifacts);

}  // namespace ckp::tool
