// What a store's bytes are, as JSON.
#pragma once

#include "ckp/stats.h"
#include "json.h"

namespace ckp::tool {

Json to_json(const StoreStats& stats);

}  // namespace ckp::tool
