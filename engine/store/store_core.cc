#include "store/store_core.h"

#include <fmt/format.h>

#include "ckp/error.h"
#include "io/host.h"
#include "store/index_sync.h"

namespace ckp {
namespace {

// The part of a stamp that can be compared without opening the file: a damaged one must not be.
bool same_file(const format::IndexStamp& stamp, const std::optional<FileStatus>& status) {
  return status && stamp.device == status->device && stamp.inode == status->inode &&
         stamp.size == status->size && stamp.change_time_ns == status->changed_ns;
}

void remove_index(FileSystem& fs, const std::filesystem::path& directory) {
  if (!fs.status(directory)) return;
  for (const std::string& name : fs.list(directory)) fs.remove(directory / name);
  fs.remove(directory);
}

bool is_index_leftover(std::string_view name) {
  for (const std::string_view prefix : {"index.new-", "index.old-"}) {
    if (name.starts_with(prefix) && Uuid::from_hex(name.substr(prefix.size()))) return true;
  }
  return false;
}

// Left by rebuilds that were killed.
void remove_leftovers(FileSystem& fs, const StoreLayout& layout) {
  for (const std::string& name : fs.list(layout.root)) {
    if (is_index_leftover(name)) remove_index(fs, layout.root / name);
  }
}

}  // namespace

StoreCore::StoreCore(const std::filesystem::path& root, const StoreOptions& options,
                     const format::StoreIdentity& identity)
    : writable_(format::check_readable(identity.versions, identity.features, root.string())),
      fs_(options.file_system),
      clock_(options.clock),
      lock_timeout_ms_(options.lock_timeout_ms),
      layout_{root},
      identity_(identity) {}

void StoreCore::check_writable() const {
  if (writable_) return;
  throw Error(
      ErrorCode::newer_format,
      fmt::format("{}: a newer ckpstore has put something into this store that this version "
                  "({}) may read but must not change; use the newer one",
                  layout_.root.string(), CKP_VERSION));
}

StoreLock StoreCore::lock() const { return {*fs_, layout_, identity_.uuid, lock_timeout_ms_}; }

bool StoreCore::block_agrees(const format::StateBlock& block) {
  return block.begin == block.end && !block.boot.is_nil() && block.boot == boot_id() &&
         same_file(block.stamp, fs_->status(layout_.index() / index_data_file));
}

bool StoreCore::is_trusted(const StoreLock& lock) { return block_agrees(lock.block()); }

std::shared_ptr<Index> StoreCore::open_index() {
  const std::lock_guard guard(index_mutex_);
  if (index_ && !index_->is_current()) index_.reset();
  if (index_) return index_;
  // Only a rebuild makes one: a reader that meets the moment between its two renames must not.
  if (!fs_->status(layout_.index() / index_data_file)) {
    throw Error(ErrorCode::not_found, fmt::format("{}: no index", layout_.index().string()));
  }
  index_ = Index::open(*fs_, layout_.index(), layout_.lock(), identity_.uuid);
  return index_;
}

void StoreCore::close_index() {
  const std::lock_guard guard(index_mutex_);
  index_.reset();
}

bool StoreCore::ask(const std::function<void(const Index&)>& question) {
  constexpr int attempts = 3;
  for (int attempt = 1;; ++attempt) {
    bool damaged = false;
    try {
      const auto block = read_state_block(*fs_, layout_, identity_.uuid);
      if (!block || !block_agrees(*block)) {
        StoreLock held = lock();
        if (!is_trusted(held)) recover(held);
      }
      question(*open_index());
      return true;
    } catch (const Error& error) {
      if (error.code() == ErrorCode::locked || error.code() == ErrorCode::invalid_argument) throw;
      // A place that cannot be written, a full disk, no address space: the files have the answer.
      damaged = error.code() == ErrorCode::corrupt;
      const bool missing = error.code() == ErrorCode::not_found;
      if (attempt == attempts || (!damaged && !missing)) return false;
    }
    if (!damaged) continue;  // missing: another process is rebuilding it, or the next round does
    StoreLock held = lock();
    rebuild(held);
  }
}

void StoreCore::finish_commit(StoreLock& lock, bool index_was_trusted,
                              const std::function<void(IndexUpdate&)>& change) noexcept {
  if (!index_was_trusted) return;
  try {
    const auto index = open_index();
    index->update(change);     // C7
    lock.end(index->stamp());  // C8
  } catch (const std::exception&) {
    // The commit stands; `end` stays behind `begin`, and whoever asks next resyncs or rebuilds.
    close_index();
  }
}

void StoreCore::recover(StoreLock& lock) {
  if (same_file(lock.block().stamp, fs_->status(layout_.index() / index_data_file))) {
    try {
      const auto index = open_index();
      sync_index(*fs_, layout_, *index);
      lock.end(index->stamp());
      return;
    } catch (const Error& error) {
      close_index();
      if (error.code() != ErrorCode::corrupt) throw;
    }
  }
  rebuild(lock);
}

Store::RebuildReport StoreCore::rebuild(StoreLock& lock) {
  close_index();
  remove_leftovers(*fs_, layout_);
  const auto fresh = layout_.root / fmt::format("index.new-{}", random_uuid().hex());
  Store::RebuildReport report;
  {
    const auto index = Index::open(*fs_, fresh, layout_.lock(), identity_.uuid);
    report = sync_index(*fs_, layout_, *index);
  }
  const auto old = layout_.root / fmt::format("index.old-{}", random_uuid().hex());
  if (fs_->status(layout_.index())) fs_->rename(layout_.index(), old);
  fs_->rename(fresh, layout_.index());
  fs_->sync_directory(layout_.root);
  remove_index(*fs_, old);
  lock.end(open_index()->stamp());
  return report;
}

}  // namespace ckp
