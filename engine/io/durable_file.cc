#include "io/durable_file.h"

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

void FileAppender::append(std::span<const std::byte> bytes) {
  if (buffer_.size() + bytes.size() > buffer_size) flush();
  if (bytes.size() >= buffer_size) {
    file_.write_at(offset_, bytes);
    offset_ += bytes.size();
    return;
  }
  buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
}

void FileAppender::flush() {
  if (buffer_.empty()) return;
  file_.write_at(offset_, buffer_);
  offset_ += buffer_.size();
  buffer_.clear();
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
