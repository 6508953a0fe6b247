// The file system that tells an OrderOracle what is done.
#include "ckp/error.h"
#include "store/layout.h"
#include "support/forwarding_file_system.h"
#include "support/order_oracle.h"

namespace ckp::test {
namespace {

// So that a store is known by one path however it is spelled.
std::filesystem::path plain(const std::filesystem::path& path) {
  auto whole = std::filesystem::absolute(path).lexically_normal();
  return whole.has_filename() ? whole : whole.parent_path();
}

// The folder of an index that is not in its store has a file of this name, too.
bool is_lock_of_a_store(const std::filesystem::path& path) {
  return path.filename() == "lock" && std::filesystem::exists(path.parent_path() / "runs");
}

}  // namespace

class OrderOracle::ListeningFile final : public ForwardingFile {
 public:
  ListeningFile(std::shared_ptr<OrderOracle> oracle, std::shared_ptr<FileSystem> fs,
                std::unique_ptr<File> base)
      : ForwardingFile(std::move(base)),
        oracle_(std::move(oracle)),
        fs_(std::move(fs)),
        path_(plain(base_->path())),
        is_lock_(is_lock_of_a_store(path_)) {}
  ~ListeningFile() override { release(); }

  void write_at(std::uint64_t offset, std::span<const std::byte> bytes) override {
    oracle_->file_written(path_);  // what fails may have been written in part
    base_->write_at(offset, bytes);
    if (is_lock_ && offset == 0) oracle_->block_written(path_.parent_path(), bytes);
  }
  void truncate(std::uint64_t size) override {
    oracle_->file_written(path_);
    base_->truncate(size);
  }
  void sync() override {
    base_->sync();
    oracle_->file_synced(path_);
  }
  bool lock(std::uint64_t byte, LockKind kind, bool wait) override {
    const bool held = base_->lock(byte, kind, wait);
    if (!held || !is_lock_) return held;
    if (byte == lock_byte::store) {
      holds_store_ = true;
      oracle_->store_locked(path_.parent_path(), *fs_, *base_);
    } else if (byte == lock_byte::index_data) {
      holds_index_ = true;
      oracle_->index_locked(path_.parent_path(), kind);
    }
    return true;
  }
  void unlock(std::uint64_t byte) override {
    if (byte == lock_byte::store || byte == lock_byte::index_data) release();
    base_->unlock(byte);
  }
  void close() override {
    release();
    base_->close();
  }

 private:
  // Before the lock is given back: afterwards another thread may have taken it.
  void release() {
    if (std::exchange(holds_store_, false)) oracle_->store_unlocked(path_.parent_path());
    if (std::exchange(holds_index_, false)) oracle_->index_unlocked();
  }

  std::shared_ptr<OrderOracle> oracle_;
  std::shared_ptr<FileSystem> fs_;
  std::filesystem::path path_;
  bool is_lock_;
  bool holds_store_ = false, holds_index_ = false;
};

class OrderOracle::ListeningFileSystem final : public ForwardingFileSystem {
 public:
  ListeningFileSystem(std::shared_ptr<OrderOracle> oracle, std::shared_ptr<FileSystem> base)
      : ForwardingFileSystem(std::move(base)), oracle_(std::move(oracle)) {}

  std::unique_ptr<File> open(const std::filesystem::path& path, OpenMode mode) override {
    if (mode == OpenMode::read) return base_->open(path, mode);
    const bool is_new = mode != OpenMode::read_write && !base_->status(path);
    auto file = base_->open(path, mode);
    if (is_new) oracle_->file_created(plain(path));
    return std::make_unique<ListeningFile>(oracle_, base_, std::move(file));
  }
  bool make_directory(const std::filesystem::path& path) override {
    const bool made = base_->make_directory(path);
    if (made) oracle_->entry_made(plain(path));
    return made;
  }
  void rename(const std::filesystem::path& from, const std::filesystem::path& to,
              bool replace) override {
    const bool replaces = replace && base_->status(to).has_value();
    base_->rename(from, to, replace);
    oracle_->renamed(plain(from), plain(to), replace, replaces, *base_);
  }
  bool remove(const std::filesystem::path& path) override {
    const bool removed = base_->remove(path);
    if (removed) oracle_->removed(plain(path));
    return removed;
  }
  void sync_directory(const std::filesystem::path& path) override {
    base_->sync_directory(path);
    oracle_->directory_synced(plain(path));
  }

 private:
  std::shared_ptr<OrderOracle> oracle_;
};

std::shared_ptr<FileSystem> OrderOracle::listen(std::shared_ptr<OrderOracle> oracle,
                                                std::shared_ptr<FileSystem> base) {
  return std::make_shared<ListeningFileSystem>(std::move(oracle), std::move(base));
}

}  // namespace ckp::test
