// Files to measure with: what is on the disk, and what is still in memory, is known before the
// clock starts.
#pragma once

#include <filesystem>
#include <string>

namespace ckp::bench {

// Waits until the file system that holds `directory` has written everything.
void settle(const std::filesystem::path& directory);
// Makes one file durable.
void sync_file(const std::filesystem::path& path);
// Asks the kernel to forget a file's pages, so that the next read comes from the disk.
void forget(const std::filesystem::path& path);
// A variable of the environment.
std::string environment(const char* name, const char* otherwise);

}  // namespace ckp::bench
