// What the parts of the engine share about one open store.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>

#include "ckp/clock.h"
#include "ckp/file_system.h"
#include "ckp/format/store_identity.h"
#include "ckp/store.h"
#include "index/index.h"
#include "store/layout.h"
#include "store/store_lock.h"

namespace ckp {

// Shared by a Store and the Runs it made. Thread-safe.
class StoreCore {
 public:
  StoreCore(const std::filesystem::path& root, const StoreOptions& options,
            const format::StoreIdentity& identity);

  FileSystem& fs() const { return *fs_; }
  std::shared_ptr<FileSystem> file_system() const { return fs_; }
  Clock& clock() const { return *clock_; }
  const StoreLayout& layout() const { return layout_; }
  const Uuid& uuid() const { return identity_.uuid; }

  // Throws Error(newer_format) when the store uses a feature that this version may only read.
  void check_writable() const;
  StoreLock lock() const;

  // Runs `question` on a trusted index: resynced or rebuilt first when it is not, and rebuilt once
  // more when the question finds damage. On a read-only place, where the index cannot be used, an
  // index in memory's stead is not made: returns false, and the caller asks the files.
  bool ask(const std::function<void(const Index&)>& question);

  // C7, C8 of a commit under `lock`: brings the index up to date and ends the commit. An index
  // that was not trusted, or cannot be written, is left behind for the next reader.
  void finish_commit(StoreLock& lock, bool index_was_trusted,
                     const std::function<void(IndexUpdate&)>& change) noexcept;
  // Whether the index may be believed under `lock`; to be asked before StoreLock::begin.
  bool is_trusted(const StoreLock& lock);
  // Makes the index right under `lock`, by resync or rebuild.
  void recover(StoreLock& lock);
  // Makes it anew, whatever its state.
  Store::RebuildReport rebuild(StoreLock& lock);

 private:
  bool block_agrees(const format::StateBlock& block);
  std::shared_ptr<Index> open_index();
  void close_index();

  bool writable_;
  std::shared_ptr<FileSystem> fs_;
  std::shared_ptr<Clock> clock_;
  std::int64_t lock_timeout_ms_;
  StoreLayout layout_;
  format::StoreIdentity identity_;
  std::mutex index_mutex_;  // guards index_, not what it points at
  std::shared_ptr<Index> index_;
};

}  // namespace ckp
