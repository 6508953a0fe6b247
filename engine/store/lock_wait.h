// Waiting for the locks that all processes of a store take for moments (spec/commit.md, "Locks").
#pragma once

#include <cstdint>
#include <string_view>

#include "ckp/file_system.h"

namespace ckp {

// Locks `byte` of the store's lock file. Waits at most `timeout_ms`, then throws Error(locked) that
// names the holder of the lock on `what` ("store", "index"): a stopped process must not stop all
// others for ever.
void lock_in_time(File& lock_file, std::uint64_t byte, LockKind kind, std::int64_t timeout_ms,
                  std::string_view what);

}  // namespace ckp
