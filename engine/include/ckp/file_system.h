// The seam between the store and the operating system: every file operation of the engine goes
// through here (LMDB's own files excepted). Replace it to simulate crashes and faults.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ckp/format/pack.h"

namespace ckp {

enum class OpenMode {
  read,        // must exist
  read_write,  // must exist
  create,      // made when absent
  create_new,  // must not exist
};

enum class LockKind { shared, exclusive };

struct FileStatus {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t size = 0;
  std::uint64_t links = 0;
  std::int64_t modified_ns = 0;
  std::int64_t changed_ns = 0;  // ctime
  bool is_directory = false;
};

// What kind of file system a path is on, for the decisions that depend on it.
struct FileSystemKind {
  std::string name;  // "ext4", "nfs", "fuse", ... or the kernel's number in hexadecimal
  // Other hosts, or a program in user space, serve it: locks may be lost without notice, a removed
  // file may vanish under another host's reader, and no file may be mapped into memory for sharing.
  bool remote = false;
};

// An open file. Errors are Error(out_of_space), Error(read_only), Error(not_found), Error(io), ...
// with the path and the operation in the message. EINTR and short transfers are handled inside.
// Reads may run on several threads at once; everything else is one thread at a time. The destructor
// closes without reporting; in a forked child it does nothing that the parent could see.
class File {
 public:
  static constexpr std::size_t direct_block = 4096;  // of every disk's sector a multiple

  virtual ~File() = default;
  virtual const std::filesystem::path& path() const = 0;
  // Reads up to out.size() bytes; fewer only at the end of the file.
  virtual std::size_t read_at(std::uint64_t offset, std::span<std::byte> out) const = 0;
  // Writes all of it or throws.
  virtual void write_at(std::uint64_t offset, std::span<const std::byte> bytes) = 0;
  // The same for whole blocks of a large file: address, offset and size are multiples of
  // direct_block. Past the page cache where the file system can, so that the caller's other data
  // stays in it, at the disk's speed, and sync() has little left to do.
  virtual void write_blocks(std::uint64_t offset, std::span<const std::byte> bytes) {
    write_at(offset, bytes);
  }
  // Lets the disk begin with what was written, and does not wait: sync() has less left to do then.
  virtual void start_sync() {}
  // fsync. A failure is final for this file: never retried (Linux marks the pages clean), and every
  // later write or sync on this object throws.
  virtual void sync() = 0;
  virtual void truncate(std::uint64_t size) = 0;
  // Asks for disk space for [offset, offset + size) without changing the file's size. Does nothing
  // where the file system cannot.
  virtual void reserve(std::uint64_t offset, std::uint64_t size) = 0;
  virtual FileStatus status() const = 0;
  // Open-file-description lock on one byte, released by the kernel when the file is closed or
  // the process dies. Returns false when somebody else holds it and `wait` is false. `wait` blocks.
  virtual bool lock(std::uint64_t byte, LockKind kind, bool wait) = 0;
  virtual void unlock(std::uint64_t byte) = 0;
  // Closes and reports what close() says. Later calls on this object throw.
  virtual void close() = 0;
};

class FileSystem {
 public:
  virtual ~FileSystem() = default;
  // Error(corrupt) when there is something there that is no file (a directory, a pipe).
  virtual std::unique_ptr<File> open(const std::filesystem::path& path, OpenMode mode) = 0;
  // Nothing when the path does not exist.
  virtual std::optional<FileStatus> status(const std::filesystem::path& path) = 0;
  // Names in a directory, sorted, without "." and "..". Error(not_found) when it does not exist.
  virtual std::vector<std::string> list(const std::filesystem::path& directory) = 0;
  // Makes one directory; returns false when it exists already. Not durable until the parent is
  // synced.
  virtual bool make_directory(const std::filesystem::path& path) = 0;
  // Within one file system. Without `replace` an existing target is Error(already_exists).
  virtual void rename(const std::filesystem::path& from, const std::filesystem::path& to,
                      bool replace = false) = 0;
  // Removes a file or an empty directory; returns false when it does not exist.
  virtual bool remove(const std::filesystem::path& path) = 0;
  // fsync of a directory: its entries (creations, renames, removals) are durable afterwards.
  virtual void sync_directory(const std::filesystem::path& path) = 0;
  // Of an existing path.
  virtual FileSystemKind kind(const std::filesystem::path& path) = 0;
};

// The real one: POSIX calls. Stateless; one object may serve any number of threads and stores.
std::shared_ptr<FileSystem> posix_file_system();

// A File as the source of bytes for the pack reader. Shares ownership of the file.
class FileSource : public format::ByteSource {
 public:
  explicit FileSource(std::shared_ptr<const File> file);
  std::uint64_t size() const override { return size_; }
  void read(std::uint64_t offset, std::span<std::byte> out) const override;
  std::string name() const override { return file_->path().string(); }

 private:
  std::shared_ptr<const File> file_;
  std::uint64_t size_;
};

}  // namespace ckp
