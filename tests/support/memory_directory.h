// Where tests that make thousands of files, and do not care what syncing them costs, put them.
#pragma once

#include <unistd.h>

#include <filesystem>

namespace ckp::test {

// As the parent of a TemporaryDirectory: in memory where there is such a place.
inline std::filesystem::path memory_directory() {
  const bool has_memory = ::access("/dev/shm", W_OK | X_OK) == 0;
  return has_memory ? std::filesystem::path("/dev/shm") : std::filesystem::temp_directory_path();
}

}  // namespace ckp::test
