// The only source with raw POSIX file calls.
//
// A write over the process's file size limit (ulimit -f) raises SIGXFSZ, which ends the process
// unless it ignores the signal; only then it is EFBIG and thus Error(out_of_space). The library
// changes no signal handlers: programs that want the error call signal(SIGXFSZ, SIG_IGN).
#include "ckp/file_system.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <string_view>
#include <utility>

#include "ckp/error.h"
#include "io/file_system_kind.h"
#include "io/fork_guard.h"
#include "io/posix_error.h"
#include "io/posix_options.h"

namespace ckp {
namespace {

namespace stdfs = std::filesystem;

// Repeats a call that a signal interrupted.
template <class Call>
auto uninterrupted(Call call) {
  auto result = call();
  while (result == -1 && errno == EINTR) result = call();
  return result;
}

std::int64_t nanoseconds(const timespec& time) {
  return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

FileStatus to_status(const struct stat& from) {
  return {.device = from.st_dev,
          .inode = from.st_ino,
          .size = static_cast<std::uint64_t>(from.st_size),
          .links = from.st_nlink,
          .modified_ns = nanoseconds(from.st_mtim),
          .changed_ns = nanoseconds(from.st_ctim),
          .is_directory = S_ISDIR(from.st_mode)};
}

// Space asked for with fallocate costs a second pass on tmpfs, and is not used by btrfs's
// copy-on-write.
bool can_reserve(int descriptor) {
  struct statfs info {};
  if (::fstatfs(descriptor, &info) != 0) return false;
  const auto type = static_cast<std::uint64_t>(info.f_type);
  return type != TMPFS_MAGIC && type != BTRFS_SUPER_MAGIC;
}

// Without O_NONBLOCK the open of a FIFO waits until somebody else opens it.
int open_flags(OpenMode mode) {
  int flags = O_CLOEXEC | O_NONBLOCK | (mode == OpenMode::read ? O_RDONLY : O_RDWR);
  if (mode == OpenMode::create || mode == OpenMode::create_new) flags |= O_CREAT;
  if (mode == OpenMode::create_new) flags |= O_EXCL;
  return flags;
}

[[noreturn]] void throw_no_file(const stdfs::path& path, std::string_view what) {
  throw Error(ErrorCode::corrupt,
              path.string() + ": is " + std::string(what) + " and not a file; move it away");
}

void check_is_file(const stdfs::path& path, int descriptor) {
  struct stat info {};
  if (::fstat(descriptor, &info) != 0) throw_errno("look at", path, errno);
  if (S_ISDIR(info.st_mode)) throw_no_file(path, "a directory");
  if (S_ISFIFO(info.st_mode)) throw_no_file(path, "a pipe");
}

struct flock lock_request(short type, std::uint64_t byte, off_t size = 1) {
  struct flock request {};
  request.l_type = type;
  request.l_whence = SEEK_SET;
  request.l_start = static_cast<off_t>(byte);
  request.l_len = size;
  return request;
}

class PosixFile final : public File, private ForkGuarded {
 public:
  PosixFile(stdfs::path path, OpenMode mode, bool direct_writes)
      : path_(std::move(path)), direct_(direct_writes) {
    if (mode == OpenMode::read) {
      open_descriptor(mode);
      return;
    }
    const Section section;
    open_descriptor(mode);
    try {
      enrol(section);
    } catch (...) {
      ::close(descriptor_);
      throw;
    }
  }
  ~PosixFile() override { (void)close_descriptor(); }

  const stdfs::path& path() const override { return path_; }
  std::size_t read_at(std::uint64_t offset, std::span<std::byte> out) const override;
  void write_at(std::uint64_t offset, std::span<const std::byte> bytes) override;
  void write_blocks(std::uint64_t offset, std::span<const std::byte> bytes) override;
  void start_sync() override;
  void sync() override;
  void truncate(std::uint64_t size) override;
  void reserve(std::uint64_t offset, std::uint64_t size) override;
  FileStatus status() const override;
  bool lock(std::uint64_t byte, LockKind kind, bool wait) override;
  void unlock(std::uint64_t byte) override;
  void close() override;

 private:
  void open_descriptor(OpenMode mode);
  // 0, or the errno of close().
  int close_descriptor() noexcept;
  void abandon_in_child() noexcept override {
    ::close(descriptor_);
    descriptor_ = -1;
  }
  void check_usable(std::string_view operation) const;
  void check_writable(std::string_view operation) const;
  [[noreturn]] void fail_for_good(std::string_view operation, int error);
  [[noreturn]] void fail_write(std::uint64_t offset, int error);
  // How many bytes went past the page cache; the rest cannot.
  std::size_t write_direct(std::uint64_t offset, std::span<const std::byte> bytes);
  bool set_direct(bool on) noexcept;

  stdfs::path path_;
  int descriptor_ = -1;
  bool locked_ = false;  // has been, at some time
  bool direct_;          // whether O_DIRECT is worth a try
  // What failed first, and whether truncate() can make up for it.
  std::string failure_;
  std::optional<std::uint64_t> failed_write_;
};

void PosixFile::open_descriptor(OpenMode mode) {
  // ESTALE: a network file system's cached name led to a file that is gone; asked again, it looks
  // the name up anew.
  for (int tries = 0; tries < 2; ++tries) {
    descriptor_ = uninterrupted([&] { return ::open(path_.c_str(), open_flags(mode), 0666); });
    if (descriptor_ >= 0 || errno != ESTALE) break;
  }
  if (descriptor_ >= 0) {
    try {
      check_is_file(path_, descriptor_);
    } catch (...) {
      ::close(descriptor_);
      throw;
    }
    return;
  }
  if (errno == EISDIR) throw_no_file(path_, "a directory");
  if (errno == ENXIO) throw_no_file(path_, "a socket");
  throw_errno((open_flags(mode) & O_CREAT) != 0 ? "create" : "open", path_, errno);
}

int PosixFile::close_descriptor() noexcept {
  if (descriptor_ < 0) return 0;
  std::optional<Section> section;
  if (is_enrolled()) section.emplace();
  // A child that was forked a moment ago may not have closed its copy yet, and that would keep the
  // lock alive: the owner gives it back explicitly. A child never does.
  if (locked_ && !in_forked_child()) {
    struct flock request = lock_request(F_UNLCK, 0, 0);  // size 0: to the end
    (void)::fcntl(descriptor_, F_OFD_SETLK, &request);
  }
  // On Linux the descriptor is gone even when a signal interrupted close().
  const int error = ::close(std::exchange(descriptor_, -1)) == 0 || errno == EINTR ? 0 : errno;
  if (section) withdraw(*section);
  return error;
}

void PosixFile::check_usable(std::string_view operation) const {
  if (in_forked_child()) {
    throw Error(ErrorCode::invalid_argument,
                "cannot " + std::string(operation) + " " + path_.string() +
                    ": it was opened before this process was forked, and a forked child must not "
                    "share it; open the store again in the child");
  }
  if (descriptor_ < 0) {
    throw Error(ErrorCode::invalid_argument,
                "cannot " + std::string(operation) + " " + path_.string() + ": it is closed");
  }
}

void PosixFile::check_writable(std::string_view operation) const {
  check_usable(operation);
  if (failure_.empty()) return;
  throw Error(ErrorCode::io, "cannot " + std::string(operation) + " " + path_.string() +
                                 ": an earlier operation on it failed: " + failure_);
}

void PosixFile::fail_for_good(std::string_view operation, int error) {
  failure_ = describe_errno(operation, path_, error);
  throw Error(code_of_errno(error), failure_);
}

std::size_t PosixFile::read_at(std::uint64_t offset, std::span<std::byte> out) const {
  check_usable("read");
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t got = uninterrupted([&] {
      return ::pread(descriptor_, out.data() + done, out.size() - done,
                     static_cast<off_t>(offset + done));
    });
    if (got < 0) throw_errno("read", path_, errno);
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done;
}

void PosixFile::write_at(std::uint64_t offset, std::span<const std::byte> bytes) {
  check_writable("write");
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t put = uninterrupted([&] {
      return ::pwrite(descriptor_, bytes.data() + done, bytes.size() - done,
                      static_cast<off_t>(offset + done));
    });
    if (put <= 0) fail_write(offset, put == 0 ? EIO : errno);
    done += static_cast<std::size_t>(put);
  }
}

void PosixFile::fail_write(std::uint64_t offset, int error) {
  failed_write_ = offset;
  fail_for_good("write", error);
}

void PosixFile::write_blocks(std::uint64_t offset, std::span<const std::byte> bytes) {
  check_writable("write");
  const std::size_t done = direct_ ? write_direct(offset, bytes) : 0;
  if (done == bytes.size()) return;
  write_at(offset + done, bytes.subspan(done));
  // Otherwise the kernel collects dirty pages until it stops the writer for them.
  (void)::sync_file_range(descriptor_, static_cast<off_t>(offset + done),
                          static_cast<off_t>(bytes.size() - done), SYNC_FILE_RANGE_WRITE);
}

bool PosixFile::set_direct(bool on) noexcept {
  const int flags = ::fcntl(descriptor_, F_GETFL);
  if (flags < 0) return false;
  return ::fcntl(descriptor_, F_SETFL, on ? flags | O_DIRECT : flags & ~O_DIRECT) == 0;
}

std::size_t PosixFile::write_direct(std::uint64_t offset, std::span<const std::byte> bytes) {
  direct_ = set_direct(true);
  if (!direct_) return 0;
  std::size_t done = 0;
  int error = 0;
  while (done < bytes.size() && done % direct_block == 0) {
    const ssize_t put = uninterrupted([&] {
      return ::pwrite(descriptor_, bytes.data() + done, bytes.size() - done,
                      static_cast<off_t>(offset + done));
    });
    if (put <= 0) {
      error = put == 0 ? EIO : errno;
      break;
    }
    done += static_cast<std::size_t>(put);
  }
  (void)set_direct(false);
  if (error == EINVAL || error == EOPNOTSUPP) {
    direct_ = false;  // of another block size, or none at all
  } else if (error != 0) {
    fail_write(offset, error);
  }
  return done;
}

// What the kernel meets on the way, sync() reports.
void PosixFile::start_sync() { (void)::sync_file_range(descriptor_, 0, 0, SYNC_FILE_RANGE_WRITE); }

void PosixFile::sync() {
  check_writable("sync");
  if (uninterrupted([&] { return ::fsync(descriptor_); }) == 0) return;
  const int error = errno;
  failed_write_.reset();
  fail_for_good("sync", error);
}

void PosixFile::truncate(std::uint64_t size) {
  // A failed write may be cut off; a failed sync cannot be mended.
  if (!failed_write_) check_writable("truncate");
  check_usable("truncate");
  if (uninterrupted([&] { return ::ftruncate(descriptor_, static_cast<off_t>(size)); }) != 0) {
    throw_errno("truncate", path_, errno);
  }
  // Nothing of the failed write is left.
  if (failed_write_ && size <= *failed_write_) {
    failed_write_.reset();
    failure_.clear();
  }
}

void PosixFile::reserve(std::uint64_t offset, std::uint64_t size) {
  check_writable("reserve space in");
  if (size == 0 || !can_reserve(descriptor_)) return;
  const int result = uninterrupted([&] {
    return ::fallocate(descriptor_, FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                       static_cast<off_t>(size));
  });
  if (result == 0) return;
  const bool unknown = errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL || errno == ENODEV;
  if (!unknown) throw_errno("reserve space in", path_, errno);
}

FileStatus PosixFile::status() const {
  check_usable("look at");
  struct stat info {};
  if (::fstat(descriptor_, &info) != 0) throw_errno("look at", path_, errno);
  return to_status(info);
}

bool PosixFile::lock(std::uint64_t byte, LockKind kind, bool wait) {
  check_usable("lock");
  if (!is_enrolled()) {
    const Section section;
    enrol(section);
  }
  const int command = wait ? F_OFD_SETLKW : F_OFD_SETLK;
  struct flock request = lock_request(kind == LockKind::shared ? F_RDLCK : F_WRLCK, byte);
  if (uninterrupted([&] { return ::fcntl(descriptor_, command, &request); }) == 0) {
    locked_ = true;
    return true;
  }
  if (!wait && (errno == EAGAIN || errno == EACCES)) return false;
  throw_errno("lock", path_, errno);
}

void PosixFile::unlock(std::uint64_t byte) {
  check_usable("unlock");
  struct flock request = lock_request(F_UNLCK, byte);
  if (uninterrupted([&] { return ::fcntl(descriptor_, F_OFD_SETLK, &request); }) != 0) {
    throw_errno("unlock", path_, errno);
  }
}

void PosixFile::close() {
  check_usable("close");
  const int error = close_descriptor();
  if (error != 0) fail_for_good("close", error);
}

class PosixFileSystem final : public FileSystem {
 public:
  explicit PosixFileSystem(const PosixOptions& options) : options_(options) {}
  std::unique_ptr<File> open(const stdfs::path& path, OpenMode mode) override {
    return std::make_unique<PosixFile>(path, mode, options_.direct_writes);
  }
  std::optional<FileStatus> status(const stdfs::path& path) override;
  std::vector<std::string> list(const stdfs::path& directory) override;
  bool make_directory(const stdfs::path& path) override;
  void rename(const stdfs::path& from, const stdfs::path& to, bool replace) override;
  bool remove(const stdfs::path& path) override;
  void sync_directory(const stdfs::path& path) override;
  FileSystemKind kind(const stdfs::path& path) override { return file_system_kind(path); }

 private:
  // 0, or an errno.
  int rename_without_replacing(const stdfs::path& from, const stdfs::path& to) const;

  const PosixOptions options_;
};

std::optional<FileStatus> PosixFileSystem::status(const stdfs::path& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0) return to_status(info);
  const int error = errno;
  if (code_of_errno(error) == ErrorCode::not_found) return std::nullopt;
  throw_errno("look at", path, error);
}

std::vector<std::string> PosixFileSystem::list(const stdfs::path& directory) {
  DIR* opened = nullptr;
  do {
    opened = ::opendir(directory.c_str());
  } while (opened == nullptr && errno == EINTR);
  if (opened == nullptr) throw_errno("list", directory, errno);
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(opened, ::closedir);
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(stream.get());
    if (entry == nullptr) break;
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  if (errno != 0) throw_errno("list", directory, errno);
  std::sort(names.begin(), names.end());
  return names;
}

bool PosixFileSystem::make_directory(const stdfs::path& path) {
  if (::mkdir(path.c_str(), 0777) == 0) return true;
  const int error = errno;
  if (error == EEXIST) {
    const std::optional<FileStatus> found = status(path);
    if (found && found->is_directory) return false;
  }
  throw_errno("make the directory", path, error);
}

int PosixFileSystem::rename_without_replacing(const stdfs::path& from,
                                              const stdfs::path& to) const {
  if (options_.rename_noreplace) {
    if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return 0;
    if (errno != EINVAL && errno != ENOSYS) return errno;
  }
  // NFS has no such rename. link() never replaces; a crash before the unlink leaves both names: a
  // pack that has its live name is live.
  if (options_.hard_links) {
    if (::link(from.c_str(), to.c_str()) == 0) return ::unlink(from.c_str()) == 0 ? 0 : errno;
    if (errno == EEXIST || errno == ENOENT) return errno;
  }
  // No hard links either: looking first is safe among processes that hold the store's lock.
  struct stat info {};
  if (::lstat(to.c_str(), &info) == 0) return EEXIST;
  return ::rename(from.c_str(), to.c_str()) == 0 ? 0 : errno;
}

void PosixFileSystem::rename(const stdfs::path& from, const stdfs::path& to, bool replace) {
  struct stat before {};
  const bool existed = ::lstat(from.c_str(), &before) == 0;
  int error = 0;
  if (!replace) {
    error = rename_without_replacing(from, to);
  } else if (::rename(from.c_str(), to.c_str()) != 0) {
    error = errno;
  }
  if (error == 0) return;
  // A network file system repeats a request whose answer was lost, and then answers that the old
  // name does not exist: the rename has happened if the new name is that file.
  struct stat after {};
  if (error == ENOENT && existed && ::lstat(to.c_str(), &after) == 0 &&
      after.st_ino == before.st_ino && after.st_dev == before.st_dev) {
    return;
  }
  throw_errno("rename", from.string() + " to " + to.string(), error);
}

bool PosixFileSystem::remove(const stdfs::path& path) {
  if (::unlink(path.c_str()) == 0) return true;
  if (errno == EISDIR && ::rmdir(path.c_str()) == 0) return true;
  if (errno == ENOENT) return false;
  throw_errno("remove", path, errno);
}

void PosixFileSystem::sync_directory(const stdfs::path& path) {
  const int descriptor =
      uninterrupted([&] { return ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
  if (descriptor < 0) throw_errno("open the directory", path, errno);
  const int error = uninterrupted([&] { return ::fsync(descriptor); }) == 0 ? 0 : errno;
  ::close(descriptor);
  // EINVAL: this file system has no fsync of directories (some network ones); its server decides.
  if (error != 0 && error != EINVAL) throw_errno("sync the directory", path, error);
}

}  // namespace

std::shared_ptr<FileSystem> posix_file_system(const PosixOptions& options) {
  return std::make_shared<PosixFileSystem>(options);
}

std::shared_ptr<FileSystem> posix_file_system() { return posix_file_system(PosixOptions{}); }

}  // namespace ckp
