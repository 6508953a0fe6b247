// Locking, checks before trust, and growth, around the environment.
#include <fmt/format.h>

#include <mutex>
#include <shared_mutex>
#include <string>

#include "ckp/error.h"
#include "index/data_file.h"
#include "index/environment.h"
#include "index/index_lock.h"
#include "index/tables.h"
#include "io/host.h"

namespace ckp {
namespace {

// LMDB believes what it maps: a page that has rotted is a crash or a wrong answer. So every page is
// walked before LMDB sees the file, as long as that takes no more than some 0.2 s.
constexpr std::uint64_t largest_walked = 256u << 20;
constexpr std::uint64_t largest_small = 32u << 20;

class LockedTables : public Tables {
 public:
  LockedTables(FileSystem& fs, const std::filesystem::path& directory,
               const std::filesystem::path& lock_file, std::int64_t lock_timeout_ms)
      : fs_(fs),
        directory_(directory),
        lock_(fs, lock_file, lock_timeout_ms),
        process_(process_id()) {
    fs_.make_directory(directory_);
    const auto held = lock_.acquire(LockKind::exclusive);
    const auto before = fs_.status(data_path());
    bool fresh = !before || before->size == 0;
    if (!fresh) {
      const auto file = fs_.open(data_path(), OpenMode::read);
      const bool walk = before->size <= largest_walked;
      const PageCheck check = walk ? PageCheck::all : PageCheck::directory;
      was_small_ = before->size <= largest_small;
      fresh = check_data_file(*file, check).transaction == 0;
    }
    environment_ = Environment::open(directory_, fresh);
    const auto after = fs_.status(data_path());
    if (!after || (before && before->inode != after->inode)) {
      throw Error(ErrorCode::io,
                  fmt::format("{}: the index was replaced while it was opened; open it again",
                              directory_.string()));
    }
    device_ = after->device;
    inode_ = after->inode;
    if (fresh) extend_file();
  }

  ~LockedTables() override {
    if (process_ != process_id()) environment_->forget();
  }
  LockedTables(const LockedTables&) = delete;
  LockedTables& operator=(const LockedTables&) = delete;

  void read(const std::function<void(TableReader&)>& body) const override {
    check_process();
    const auto held = lock_.acquire(LockKind::shared);
    while (!try_read(body)) {
      const std::unique_lock own(mutex_);  // waits for this process's readers
      environment_->grow();
    }
  }

  void write(const std::function<void(TableWriter&)>& body) override {
    check_process();
    const auto held = lock_.acquire(LockKind::exclusive);
    const std::unique_lock own(mutex_);
    while (!try_write(body)) environment_->grow();
    extend_file();
  }

  void sync() override {
    check_process();
    const auto file = fs_.open(data_path(), OpenMode::read_write);
    file->sync();
    file->close();
  }

  bool was_small() const override { return was_small_; }

  std::vector<std::string> check_pages() const override {
    check_process();
    const auto held = lock_.acquire(LockKind::shared);
    if (!is_current()) return {fmt::format("{}: the index was replaced", data_path().string())};
    try {
      check_data_file(*fs_.open(data_path(), OpenMode::read), PageCheck::all);
    } catch (const Error& error) {
      return {error.what()};
    }
    return {};
  }

  format::IndexStamp stamp() const override {
    check_process();
    const auto held = lock_.acquire(LockKind::shared);
    const std::shared_lock own(mutex_);
    check_usable();
    const auto status = fs_.status(data_path());
    if (!status) {
      throw Error(ErrorCode::corrupt, fmt::format("{}: the index is gone", data_path().string()));
    }
    return {status->device, status->inode, status->size, status->changed_ns,
            environment_->transaction()};
  }

  bool is_current() const override {
    const auto status = fs_.status(data_path());
    return status && is_ours(*status) && status->links > 0;
  }

 private:
  std::filesystem::path data_path() const { return directory_ / "data.mdb"; }
  bool is_ours(const FileStatus& status) const {
    return status.device == device_ && status.inode == inode_;
  }

  void check_process() const {
    if (process_ == process_id()) return;
    throw Error(
        ErrorCode::invalid_argument,
        fmt::format("{}: forked: the index was opened by process {}; open the store anew in "
                    "this process",
                    directory_.string(), process_));
  }

  // Before anything of the map is touched. A file that was replaced at its path is reachable by
  // nobody who would shorten it.
  void check_usable() const {
    if (!failure_.empty() || !environment_->is_open()) {
      throw Error(failure_code_,
                  fmt::format("{} (earlier); open the store anew",
                              failure_.empty() ? "growing the index failed" : failure_));
    }
    const auto status = fs_.status(data_path());
    if (!status || !is_ours(*status)) return;
    if (status->size < environment_->header_size() || status->size < environment_->file_size()) {
      throw Error(ErrorCode::corrupt, fmt::format("{}: the file has only {} bytes",
                                                  data_path().string(), status->size));
    }
  }

  // False when another process has grown the map.
  bool try_read(const std::function<void(TableReader&)>& body) const {
    const std::shared_lock own(mutex_);
    check_usable();
    const auto transaction = environment_->begin(false);
    if (transaction == nullptr) return false;
    body(*transaction);
    return true;
  }

  // False when the map must grow first, be it for this change or for another process's.
  bool try_write(const std::function<void(TableWriter&)>& body) {
    check_usable();
    const auto transaction = environment_->begin(true);
    if (transaction == nullptr) return false;
    try {
      body(*transaction);
      commit(*transaction);
    } catch (const MapFull&) {
      return false;
    }
    return true;
  }

  // What a failed commit leaves behind nobody knows: it is the last thing this object does.
  void commit(Transaction& transaction) {
    try {
      transaction.commit();
    } catch (const Error& error) {
      failure_code_ = error.code();
      failure_ = error.what();
      throw;
    }
  }

  // Pages at the end that a transaction took and gave back were never written: the file is made as
  // long as it says, so that a shorter one is always damage.
  void extend_file() {
    const std::uint64_t needed = environment_->file_size();
    const auto status = fs_.status(data_path());
    if (!status || !is_ours(*status) || status->size >= needed) return;
    const auto file = fs_.open(data_path(), OpenMode::read_write);
    file->truncate(needed);
    file->close();
  }

  FileSystem& fs_;
  const std::filesystem::path directory_;
  const IndexLock lock_;
  const std::uint32_t process_;
  // Shared: a transaction runs, or may begin. Exclusive: the map may move. Taken after the index
  // lock. A writer never waits for it: each reader would hold the index lock.
  mutable std::shared_mutex mutex_;
  std::unique_ptr<Environment> environment_;
  bool was_small_ = false;
  std::uint64_t device_ = 0, inode_ = 0;
  ErrorCode failure_code_ = ErrorCode::io;
  std::string failure_;  // of a commit; empty: none
};

}  // namespace

std::unique_ptr<Tables> Tables::open(FileSystem& fs, const std::filesystem::path& directory,
                                     const std::filesystem::path& lock_file,
                                     std::int64_t lock_timeout_ms) {
  return std::make_unique<LockedTables>(fs, directory, lock_file, lock_timeout_ms);
}

}  // namespace ckp
