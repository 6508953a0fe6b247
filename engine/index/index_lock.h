// The index's own read/write lock: two bytes of the store's lock file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <utility>

#include "ckp/file_system.h"

namespace ckp {

// Keeps readers and writers of the index apart, between processes and between threads. Everybody
// passes the gate byte first and holds it while waiting for the data byte. A writer that waits for
// the readers before it thereby stops the readers after it: nobody starves.
class IndexLock {
 public:
  IndexLock(FileSystem& fs, std::filesystem::path lock_file, std::int64_t timeout_ms)
      : fs_(fs), lock_file_(std::move(lock_file)), timeout_ms_(timeout_ms) {}

  // The lock is held as long as the returned file lives. The file is opened for this acquisition
  // alone: an open-file-description lock belongs to one opening, so two threads exclude each other
  // as two processes do. Holders are short, and the kernel releases the lock of a dead one: a wait
  // that is longer than the limit is for a stopped one, and throws Error(locked) that names it.
  std::unique_ptr<File> acquire(LockKind kind) const;

 private:
  FileSystem& fs_;
  std::filesystem::path lock_file_;
  std::int64_t timeout_ms_;
};

}  // namespace ckp
