// The durable-write recipe for whole files: temporary sibling, write, fsync, close, rename, fsync
// of the directory. The only copy of it; packs of a store are committed by store/commit.h, which
// has more steps.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "ckp/file_system.h"

namespace ckp {

// Appends to a File through a buffer of a few MiB.
class FileAppender {
 public:
  explicit FileAppender(File& file, std::uint64_t offset = 0);
  void append(std::span<const std::byte> bytes);
  void flush();
  std::uint64_t offset() const { return offset_ + buffer_.size(); }

 private:
  File& file_;
  std::uint64_t offset_;
  std::vector<std::byte> buffer_;
};

// Calls `write` with an appender for a new file, and makes the result appear at `path` atomically
// and durably. With `replace` false an existing file is Error(already_exists). When anything
// throws, the temporary file is removed and `path` is as it was; except that when `replace` is true
// and the very last step, the fsync of the directory, fails, `path` holds the complete new file,
// and after a power cut it or the complete old one.
void write_durably(FileSystem& fs, const std::filesystem::path& path, bool replace,
                   const std::function<void(FileAppender&)>& write);

}  // namespace ckp
