#include "io/durable_file.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include "ckp/error.h"
#include "io/host.h"

namespace ckp {
namespace {

constexpr std::size_t buffer_size = 4u << 20;

// A hidden sibling, so that the rename stays within one file system. File names end at 255 bytes.
std::filesystem::path temporary_sibling(const std::filesystem::path& path) {
  const std::string name = path.filename().string().substr(0, 200);
  return path.parent_path() / ("." + name + "." + random_uuid().short_hex() + ".tmp");
}

void remove_quietly(FileSystem& fs, const std::filesystem::path& path) noexcept {
  try {
    fs.remove(path);
  } catch (...) {
    // The error that led here is the one to report.
  }
}

void write_and_sync(FileSystem& fs, const std::filesystem::path& path,
                    const std::function<void(FileAppender&)>& write) {
  const std::unique_ptr<File> file = fs.open(path, OpenMode::create_new);
  try {
    FileAppender appender(*file);
    write(appender);
    appender.flush();
    file->sync();
    file->close();
  } catch (...) {
    remove_quietly(fs, path);
    throw;
  }
}

}  // namespace

FileAppender::FileAppender(File& file, std::uint64_t offset) : file_(file), offset_(offset) {}

void FileAppender::Free::operator()(std::byte* buffer) const {
  ::operator delete (buffer, std::align_val_t{File::direct_block});
}

void FileAppender::append(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    if (!buffer_) {
      void* const made = ::operator new (buffer_size, std::align_val_t{File::direct_block});
      buffer_.reset(static_cast<std::byte*>(made));
    }
    const std::size_t fits = std::min(bytes.size(), buffer_size - used_);
    std::memcpy(buffer_.get() + used_, bytes.data(), fits);
    used_ += fits;
    bytes = bytes.subspan(fits);
    if (used_ == buffer_size) write(buffer_size);
  }
}

void FileAppender::flush() {
  const bool large = offset_ >= buffer_size;
  if (large) write(used_ / File::direct_block * File::direct_block);
  write(used_);
}

// The first `size` bytes of the buffer.
void FileAppender::write(std::size_t size) {
  if (size == 0) return;
  const std::span bytes(buffer_.get(), size);
  if (offset_ % File::direct_block == 0 && size % File::direct_block == 0) {
    file_.write_blocks(offset_, bytes);
  } else {
    file_.write_at(offset_, bytes);
  }
  offset_ += size;
  used_ -= size;
  std::memmove(buffer_.get(), buffer_.get() + size, used_);
}

void write_durably(FileSystem& fs, const std::filesystem::path& path, bool replace,
                   const std::function<void(FileAppender&)>& write) {
  // Asked early to spare the work; the rename asks again.
  if (!replace && fs.status(path)) {
    throw Error(ErrorCode::already_exists, "cannot write " + path.string() + ": it exists already");
  }
  const std::filesystem::path temporary = temporary_sibling(path);
  write_and_sync(fs, temporary, write);
  try {
    fs.rename(temporary, path, replace);
  } catch (...) {
    remove_quietly(fs, temporary);
    throw;
  }
  const std::filesystem::path parent = path.parent_path();
  try {
    fs.sync_directory(parent.empty() ? "." : parent);
  } catch (...) {
    if (!replace) remove_quietly(fs, path);
    throw;
  }
}

}  // namespace ckp
