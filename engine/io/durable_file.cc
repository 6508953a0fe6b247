#include "io/durable_file.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include "ckp/durable_write.h"
#include "ckp/error.h"
#include "io/host.h"

namespace ckp {
namespace {

namespace stdfs = std::filesystem;

constexpr std::size_t buffer_size = 4u << 20;

constexpr std::string_view temporary_suffix = ".tmp";
constexpr std::uint64_t owner_byte = 0;  // of a temporary file: its writer's lock

stdfs::path folder_of(const stdfs::path& path) {
  const stdfs::path parent = path.parent_path();
  return parent.empty() ? "." : parent;
}

// Temporary files are hidden siblings, so that the rename stays within one file system. File names
// end at 255 bytes.
std::string temporary_prefix(const stdfs::path& path) {
  return "." + path.filename().string().substr(0, 200) + ".";
}

bool is_temporary_of(const stdfs::path& path, std::string_view name) {
  const std::string prefix = temporary_prefix(path);
  const std::size_t around = prefix.size() + temporary_suffix.size();
  if (name.size() != around + Uuid{}.short_hex().size()) return false;
  return name.starts_with(prefix) && name.ends_with(temporary_suffix);
}

void remove_quietly(FileSystem& fs, const stdfs::path& path) noexcept {
  try {
    fs.remove(path);
  } catch (...) {
    // The error that led here is the one to report.
  }
}

void remove_without_owner(FileSystem& fs, const stdfs::path& path) noexcept {
  try {
    const std::unique_ptr<File> file = fs.open(path, OpenMode::read_write);
    if (file->lock(owner_byte, LockKind::exclusive, false)) fs.remove(path);
  } catch (...) {
    // Somebody else's, perhaps; no reason not to write.
  }
}

// What killed writers of the same file have left.
void remove_leftovers(FileSystem& fs, const stdfs::path& path) {
  std::vector<std::string> names;
  try {
    names = fs.list(folder_of(path));
  } catch (const Error&) {
    return;  // a folder may be writable and not readable
  }
  for (const std::string& name : names) {
    if (is_temporary_of(path, name)) remove_without_owner(fs, path.parent_path() / name);
  }
}

// Locked by this process, so that no other writer takes it for a leftover.
std::unique_ptr<File> create_temporary(FileSystem& fs, const stdfs::path& path) {
  for (;;) {
    const std::string unique = random_uuid().short_hex();
    const std::string name = temporary_prefix(path) + unique + std::string(temporary_suffix);
    const stdfs::path temporary = path.parent_path() / name;
    std::unique_ptr<File> file = fs.open(temporary, OpenMode::create_new);
    try {
      file->lock(owner_byte, LockKind::exclusive, true);
      if (fs.status(temporary)) return file;  // else it was taken before it was locked
    } catch (...) {
      remove_quietly(fs, temporary);
      throw;
    }
  }
}

void write_and_rename(FileSystem& fs, const stdfs::path& path, bool replace,
                      const std::function<void(FileAppender&)>& write) {
  const std::unique_ptr<File> file = create_temporary(fs, path);
  const stdfs::path temporary = file->path();
  try {
    FileAppender appender(*file);
    write(appender);
    appender.flush();
    file->sync();
    fs.rename(temporary, path, replace);  // still open, and so locked
  } catch (...) {
    remove_quietly(fs, temporary);
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
  remove_leftovers(fs, path);
  write_and_rename(fs, path, replace, write);
  try {
    fs.sync_directory(folder_of(path));
  } catch (...) {
    if (!replace) remove_quietly(fs, path);
    throw;
  }
}

void write_durably(FileSystem& fs, const std::filesystem::path& path,
                   std::span<const std::byte> bytes) {
  write_durably(fs, path, true, [&](FileAppender& file) { file.append(bytes); });
}

}  // namespace ckp
