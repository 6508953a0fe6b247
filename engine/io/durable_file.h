// The durable-write recipe for whole files: temporary sibling, write, fsync, rename, fsync of the
// directory. The only copy of it; packs of a store are committed by store/commit.h, which
// has more steps.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>

#include "ckp/file_system.h"

namespace ckp {

// Appends to a File through a buffer of a few MiB; what is larger goes past the page cache
// (File::write_blocks).
class FileAppender {
 public:
  explicit FileAppender(File& file, std::uint64_t offset = 0);
  void append(std::span<const std::byte> bytes);
  void flush();
  std::uint64_t offset() const { return offset_ + used_; }

 private:
  struct Free {
    void operator()(std::byte* buffer) const;
  };
  void write(std::size_t size);

  File& file_;
  std::uint64_t offset_;
  std::unique_ptr<std::byte, Free>
      buffer_;  // made by the first append; its pages, as they are used
  std::size_t used_ = 0;
};

// Calls `write` with an appender for a new file, and makes the result appear at `path` atomically
// and durably. With `replace` false an existing file is Error(already_exists). When anything
// throws, the temporary file is removed and `path` is as it was; except that when `replace` is true
// and the very last step, the fsync of the directory, fails, `path` holds the complete new file,
// and after a power cut it or the complete old one. A killed process leaves its temporary file,
// `.NAME.<8 hex digits>.tmp`, locked no more: the next call for the same path removes it.
void write_durably(FileSystem& fs, const std::filesystem::path& path, bool replace,
                   const std::function<void(FileAppender&)>& write);

}  // namespace ckp
