// Which store a command means: its first argument, or left out: then --store, then $CKPSTORE, then
// the current folder and those above it.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "ckp/file_system.h"

namespace ckp::tool {

struct StoreArgument {
  std::filesystem::path path;
  std::vector<std::string> rest;  // the arguments behind STORE
};

// `option` is the value of --store, empty when absent; with it no argument is taken as STORE.
// Otherwise the first argument is STORE when a store is there, when it looks like a path ('/' but
// no '@'), or when there are more than `max_rest` arguments. Throws NoStore, which says where was
// looked and what to type.
StoreArgument find_store(const std::vector<std::string>& arguments, const std::string& option,
                         std::size_t max_rest, FileSystem& fs);

// Takes arguments [min, max], each with its name for the message: UsageError when one is missing
// or there are too many.
void check_count(const std::vector<std::string>& rest, std::size_t min, std::size_t max,
                 std::string_view what);

// Throws Error(invalid_argument) when `file` lies inside a store, also by a symbolic link to a
// directory there: what is in a store is written by saves, imports and repairs.
void check_outside_stores(const std::filesystem::path& file, FileSystem& fs);

}  // namespace ckp::tool
