// Which file system a path is on.
#pragma once

#include <filesystem>

#include "ckp/file_system.h"

namespace ckp {

// Asks the kernel. Error(not_found) and others as for every file operation.
FileSystemKind file_system_kind(const std::filesystem::path& path);

// What the kernel's number (statfs(2), f_type) means.
FileSystemKind kind_of_number(std::uint64_t number);

}  // namespace ckp
