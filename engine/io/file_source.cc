#include <fmt/format.h>

#include "ckp/error.h"
#include "ckp/file_system.h"

namespace ckp {

FileSource::FileSource(std::shared_ptr<const File> file)
    : file_(std::move(file)), size_(file_->status().size) {}

void FileSource::read(std::uint64_t offset, std::span<std::byte> out) const {
  // Compared so that no sum can overflow.
  if (offset > size_ || out.size() > size_ - offset) {
    throw Error(ErrorCode::corrupt,
                fmt::format("{}: {} bytes wanted at offset {}, but the file has {} bytes", name(),
                            out.size(), offset, size_));
  }
  const std::size_t got = file_->read_at(offset, out);
  if (got != out.size()) {
    throw Error(
        ErrorCode::corrupt,
        fmt::format("{}: {} of {} bytes at offset {} could be read: the file became shorter "
                    "than the {} bytes it had when it was opened",
                    name(), got, out.size(), offset, size_));
  }
}

}  // namespace ckp
