// What the parts of the engine share about one open store.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>

#include "ckp/clock.h"
#include "ckp/error.h"
#include "ckp/file_system.h"
#include "ckp/format/store_identity.h"
#include "ckp/store.h"
#include "index/index.h"
#include "io/host.h"
#include "store/index_place.h"
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
  const std::vector<std::string>& notes() const { return notes_; }
  const FileSystemKind& kind() const { return kind_; }  // of the store's root
  // See Store.
  std::optional<std::string> index_damage() const;
  std::uint64_t save_memory() const { return save_memory_; }
  std::int64_t lock_timeout_ms() const { return lock_timeout_ms_; }
  // Where the index is, or would be.
  const StoreLayout& index_layout() const { return place_ ? place_->layout : layout_; }

  // Throws Error(newer_format) when the store uses a feature that this version may only read, and
  // Error(invalid_argument) in a forked child, as lock() and ask() do.
  void check_writable() const;
  StoreLock lock() const;

  // Runs `question` on a trusted index: resynced or rebuilt first when it is not, and rebuilt once
  // more when the question finds damage. On a read-only place, where the index cannot be used, an
  // index in memory's stead is not made: returns false, and the caller asks the files.
  bool ask(const std::function<void(const Index&)>& question);

  // How the index stands to the state block, without making it right.
  enum class IndexState {
    trusted,
    earlier_boot,  // complete when it was left, but not in this boot, or not by this object
    behind,        // a commit has not reached it
    changed,       // no state block, or another data file than the one that was left
    none,          // there is no place for one
  };
  IndexState index_state();
  // Runs `question` on the index as it is. Throws what opening and asking throw.
  void with_index(const std::function<void(const Index&)>& question);

  // Under `lock`: runs `question` on the index only if it is trusted as it is. False otherwise, and
  // when that fails.
  bool ask_if_trusted(const StoreLock& lock,
                      const std::function<void(const Index&)>& question) noexcept;

  // C7, C8 of a commit under `lock`: brings the index up to date and ends the commit. An index
  // that was not trusted, or cannot be written, is left behind for the next reader.
  void finish_commit(StoreLock& lock, bool index_was_trusted,
                     const std::function<void(IndexUpdate&)>& change) noexcept;
  // The same for a commit that takes checkpoints or runs away. Their files may be unlinked when it
  // has returned: an index in the store that could not be told is taken away, because what it
  // still lists would look lost. Throws when that fails; nothing may be unlinked then.
  void finish_removal(StoreLock& lock, bool index_was_trusted,
                      const std::function<void(IndexUpdate&)>& change);
  // Whether the index may be believed under `lock`; to be asked before StoreLock::begin.
  bool is_trusted(const StoreLock& lock);
  // So that the commit at the end of a save can keep the index right. Of an index in this host's
  // cache only the first time: other hosts' commits would cost every save a look at all runs.
  void prepare_for_save(StoreLock& lock);
  // Whether the index, trusted or behind, was told of every removal (R5): a checkpoint that it
  // lists and that has no file was lost then. Not so when somebody has committed who sees no index
  // here.
  bool knows_removals(const StoreLock& lock);
  // Before anything is taken away: what an index in the store has not heard of yet, it hears now,
  // and what it has heard is made durable; or it is taken away. Throws when that fails.
  void prepare_for_removal(StoreLock& lock);
  // For a save, to which the answer is a saving and no need: like `ask`, but an index in this
  // host's cache that other hosts have left behind is not asked.
  bool ask_for_save(const std::function<void(const Index&)>& question);
  // What `runs/` was like when every directory in it was one of a run in an index of these runs.
  struct AllRuns {
    FileStatus directory;
    TableSums runs;
  };
  void saw_all_runs(const AllRuns& seen);
  // Whether that is so still. Not known on a remote file system, whose times may be old.
  bool has_all_runs(const TableSums& runs);

  // Makes the index right under `lock`, by resync or rebuild.
  void recover(StoreLock& lock);
  // Makes it anew, whatever its state.
  Store::RebuildReport rebuild(StoreLock& lock);

 private:
  void check_process() const;
  IndexState state_of(const std::optional<format::StateBlock>& store_block);
  std::optional<format::StateBlock> own_block() const;
  void end_commit(StoreLock& lock, const format::IndexStamp& stamp);
  void end_sync(StoreLock& lock, const format::IndexStamp& stamp, bool complete);
  std::shared_ptr<Index> open_index();
  void close_index();
  void discard_index();
  void replace_damaged(StoreLock& lock, const Error& damage);

  bool writable_;
  std::shared_ptr<FileSystem> fs_;
  std::shared_ptr<Clock> clock_;
  std::int64_t lock_timeout_ms_;
  std::uint64_t save_memory_;
  std::uint32_t process_ = process_id();  // the one that opened it
  StoreLayout layout_;
  format::StoreIdentity identity_;
  FileSystemKind kind_;
  std::optional<IndexPlace> place_;  // nothing: the files answer
  std::vector<std::string> notes_;
  std::atomic<bool> synced_ = false;  // an index outside the store has been, by this object
  mutable std::mutex index_mutex_;    // guards what follows, not what index_ points at
  std::shared_ptr<Index> index_;
  bool other_schema_ = false;  // what open_index() met last
  std::optional<std::string> index_damage_;
  std::optional<AllRuns> all_runs_;
};

}  // namespace ckp
