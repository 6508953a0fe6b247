// Whole files that appear at once or not at all.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

#include "ckp/file_system.h"

namespace ckp {

// Writes a whole file that appears at `path` atomically, in place of the one that is there, and
// durably. When it throws, `path` is as it was, unless the very last step failed, the fsync of the
// directory: then it holds the new file, and after a power cut this or the old one.
void write_durably(FileSystem& fs, const std::filesystem::path& path,
                   std::span<const std::byte> bytes);

}  // namespace ckp
