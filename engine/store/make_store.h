// Making an empty store (spec/commit.md, N1 to N3).
#pragma once

#include <string>

#include "ckp/clock.h"
#include "ckp/file_system.h"
#include "store/layout.h"

namespace ckp {

// Whether a store can be made in this directory, which exists: leftovers of an interrupted init are
// taken over, anything else is somebody's. Throws Error(already_exists, invalid_argument).
void check_place(FileSystem& fs, const StoreLayout& layout);
void write_store(FileSystem& fs, const StoreLayout& layout, Clock& clock);

// The message about a store whose file STORE is missing.
std::string lost_identity(const StoreLayout& layout);

}  // namespace ckp
