// Plain files where the index, or one in the making, belongs: no index can be made beside them.
#pragma once

#include <filesystem>
#include <vector>

#include "store/store_core.h"

namespace ckp {

// Of an index inside the store; the cache of this host is nobody's place for files.
std::vector<std::filesystem::path> index_obstacles(const StoreCore& core);

}  // namespace ckp
