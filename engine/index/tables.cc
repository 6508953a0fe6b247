// Locking, checks before trust, and growth, around the environment.
#include <fmt/format.h>

#include <memory>
#include <mutex>
#include <string>

#include "ckp/error.h"
#include "index/data_file.h"
#include "index/environment.h"
#include "index/index_lock.h"
#include "index/paged_tables.h"
#include "index/tables.h"
#include "io/host.h"

namespace ckp {
namespace {

// LMDB believes what it maps: a page that has rotted is a crash or a wrong answer. So before a
// change every page is walked, as long as that takes no more than some 0.2 s.
constexpr std::uint64_t largest_walked = 256u << 20;

class LockedTables : public Tables {
 public:
  LockedTables(FileSystem& fs, const std::filesystem::path& directory,
               const std::filesystem::path& lock_file, std::int64_t lock_timeout_ms)
      : fs_(fs),
        directory_(directory),
        lock_(fs, lock_file, lock_timeout_ms),
        process_(process_id()) {
    fs_.make_directory(directory_);
    {
      const auto held = lock_.acquire(LockKind::shared);
      if (open_file()) return;
    }
    const auto held = lock_.acquire(LockKind::exclusive);
    if (open_file()) return;
    environment_ = Environment::open(directory_, true);
    take_identity();
    extend_file();
    if (!open_file()) throw_replaced();
  }

  ~LockedTables() override {
    if (environment_ != nullptr && process_ != process_id()) environment_->forget();
  }
  LockedTables(const LockedTables&) = delete;
  LockedTables& operator=(const LockedTables&) = delete;

  void read(const std::function<void(TableReader&)>& body) const override {
    check_process();
    const auto held = lock_.acquire(LockKind::shared);
    const auto state = newest();
    body(*state->reader());
  }

  void write(const std::function<void(TableWriter&)>& body) override {
    check_process();
    const auto held = lock_.acquire(LockKind::exclusive);
    const std::lock_guard own(mutex_);
    check_usable();
    if (environment_ == nullptr) open_environment();
    while (!try_write(body)) environment_->grow();
    extend_file();
  }

  void sync() override {
    check_process();
    const auto file = fs_.open(data_path(), OpenMode::read_write);
    file->sync();
    file->close();
  }

  std::vector<std::string> check_pages() const override {
    check_process();
    const auto held = lock_.acquire(LockKind::shared);
    if (!is_current()) return {fmt::format("{}: the index was replaced", data_path().string())};
    try {
      check_data_file(*file_, PageCheck::all);
    } catch (const Error& error) {
      return {error.what()};
    }
    return {};
  }

  format::IndexStamp stamp() const override {
    check_process();
    const auto held = lock_.acquire(LockKind::shared);
    const auto state = newest();
    const auto status = fs_.status(data_path());
    if (!status) {
      throw Error(ErrorCode::corrupt, fmt::format("{}: the index is gone", data_path().string()));
    }
    return {status->device, status->inode, status->size, status->changed_ns, state->transaction()};
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

  // False when there is none, or no table has been made in it yet.
  bool open_file() {
    const auto status = fs_.status(data_path());
    if (!status || status->size == 0) return false;
    file_ = fs_.open(data_path(), OpenMode::read);
    take_identity();
    state_ = std::make_shared<PagedTables>(file_);
    return state_->transaction() != 0;
  }

  void take_identity() {
    const auto status = file_ != nullptr ? file_->status() : fs_.status(data_path());
    if (!status) throw_replaced();
    device_ = status->device;
    inode_ = status->inode;
  }

  [[noreturn]] void throw_replaced() const {
    throw Error(ErrorCode::io,
                fmt::format("{}: the index was replaced while it was opened; open it again",
                            directory_.string()));
  }

  // LMDB would make a file where there is none.
  void open_environment() {
    if (!is_current()) throw_replaced();
    const bool walk = file_->status().size <= largest_walked;
    check_data_file(*file_, walk ? PageCheck::all : PageCheck::directory);
    environment_ = Environment::open(directory_, false);
    if (is_current()) return;
    environment_.reset();
    throw_replaced();
  }

  // The state that the last commit left.
  std::shared_ptr<const PagedTables> newest() const {
    const std::lock_guard own(mutex_);
    check_usable();
    if (!state_->is_newest()) state_ = std::make_shared<PagedTables>(file_);
    return state_;
  }

  // Before anything of a map is touched.
  void check_usable() const {
    if (!failure_.empty() || (environment_ != nullptr && !environment_->is_open())) {
      throw Error(failure_code_,
                  fmt::format("{} (earlier); open the store anew",
                              failure_.empty() ? "growing the index failed" : failure_));
    }
    const std::uint64_t size = file_->status().size;
    std::uint64_t needed = state_->size();
    if (environment_ != nullptr && size >= needed) needed = environment_->file_size();
    if (size < needed) {
      throw Error(ErrorCode::corrupt,
                  fmt::format("{}: the file has only {} bytes", data_path().string(), size));
    }
  }

  // False when the map must grow first, be it for this change or for another process's.
  bool try_write(const std::function<void(TableWriter&)>& body) {
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
  std::unique_ptr<Environment> environment_;  // null until the first change
  std::shared_ptr<const File> file_;
  mutable std::mutex mutex_;  // taken after the index lock
  mutable std::shared_ptr<const PagedTables> state_;
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
