// How what is in the trash looks.
#pragma once

#include <string>
#include <vector>

#include "ckp/trash.h"
#include "json.h"

namespace ckp::tool {

Json to_json(const std::vector<TrashedCheckpoint>& trash);
std::string trash_table(const std::vector<TrashedCheckpoint>& trash);

}  // namespace ckp::tool
