#include "store/store_core.h"

#include <fmt/format.h>

#include "ckp/error.h"
#include "ckp/shell_word.h"
#include "io/host.h"
#include "store/index_sync.h"
#include "store/marks.h"
#include "store/run_scan.h"

namespace ckp {
namespace {

// What LMDB makes; whatever else is there is somebody's. A directory that cannot be removed is in
// nobody's way: it stays as a leftover.
void remove_index(FileSystem& fs, const std::filesystem::path& directory) {
  try {
    for (const std::string_view name : {index_data_file, std::string_view("lock.mdb")}) {
      if (fs.status(directory / name)) fs.remove(directory / name);
    }
    fs.remove(directory);
  } catch (const Error&) {
  }
}

// Whether there was one to take away. A link that leads nowhere is in the way of a new one.
bool rename_index(FileSystem& fs, const StoreLayout& layout, const std::filesystem::path& to) {
  if (!fs.status(layout.index()) && !is_link_to_nowhere(fs, layout.index())) return false;
  fs.rename(layout.index(), to);
  return true;
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
      save_memory_(options.save_memory),
      layout_{root},
      identity_(identity),
      kind_(fs_->kind(root)) {
  IndexPlaceChoice choice =
      choose_index_place(*fs_, kind_, layout_, identity.uuid, options.index_directory);
  place_ = std::move(choice.place);
  if (!choice.note.empty()) notes_.push_back(std::move(choice.note));
}

// The index's map and the locks of other threads do not survive a fork.
void StoreCore::check_process() const {
  if (process_ == process_id()) return;
  throw Error(ErrorCode::invalid_argument,
              fmt::format("{}: this process was forked from the one that opened the store (process "
                          "{}); open the store again here",
                          layout_.root.string(), process_));
}

void StoreCore::check_writable() const {
  check_process();
  if (writable_) return;
  throw Error(
      ErrorCode::newer_format,
      fmt::format("{}: a newer ckpstore has put something into this store that this version "
                  "({}) may read but must not change; use the newer one",
                  layout_.root.string(), CKP_VERSION));
}

StoreLock StoreCore::lock() const {
  check_process();
  return {*fs_, layout_, identity_.uuid, lock_timeout_ms_};
}

// The state block with the index's stamp, where that is not the store's own.
std::optional<format::StateBlock> StoreCore::own_block() const {
  return read_state_block(*fs_, place_->layout, identity_.uuid);
}

StoreCore::IndexState StoreCore::state_of(const std::optional<format::StateBlock>& store_block) {
  if (!place_) return IndexState::none;
  const bool in_store = place_->in_store;
  const auto block = in_store ? store_block : own_block();
  if (!block || !same_file(block->stamp, fs_->status(place_->layout.index() / index_data_file))) {
    return IndexState::changed;
  }
  if (block->begin != block->end || block->boot.is_nil()) return IndexState::behind;
  if (!in_store &&
      (!store_block || store_block->begin != store_block->end || store_block->end != block->end)) {
    return IndexState::behind;
  }
  const bool complete_now = block->boot == boot_id() && (in_store || synced_);
  return complete_now ? IndexState::trusted : IndexState::earlier_boot;
}

StoreCore::IndexState StoreCore::index_state() {
  return state_of(read_state_block(*fs_, layout_, identity_.uuid));
}

bool StoreCore::is_trusted(const StoreLock& lock) {
  if (state_of(lock.block()) != IndexState::trusted) return false;
  // The names may know of more commits than a state block that was never synced.
  return place_->in_store || own_block()->end == lock.commit_number();
}

bool StoreCore::knows_removals(const StoreLock& lock) {
  if (!place_ || !place_->in_store) return is_trusted(lock);
  return !lock.block().boot.is_nil() &&
         same_file(lock.block().stamp, fs_->status(layout_.index() / index_data_file));
}

std::shared_ptr<Index> StoreCore::open_index() {
  const std::lock_guard guard(index_mutex_);
  if (index_ && !index_->is_current()) index_.reset();
  if (index_) return index_;
  // Only a rebuild makes one: a reader that meets the moment between its two renames must not.
  const StoreLayout& layout = index_layout();
  if (!fs_->status(layout.index() / index_data_file)) {
    throw Error(ErrorCode::not_found, fmt::format("{}: no index", layout.index().string()));
  }
  try {
    index_ = Index::open(*fs_, layout.index(), layout.lock(), identity_.uuid, lock_timeout_ms_);
  } catch (const OtherIndexSchema&) {
    other_schema_ = true;
    throw;
  }
  return index_;
}

void StoreCore::close_index() {
  const std::lock_guard guard(index_mutex_);
  index_.reset();
}

void StoreCore::saw_all_runs(const AllRuns& seen) {
  if (kind_.remote) return;
  const std::lock_guard guard(index_mutex_);
  all_runs_ = seen;
}

bool StoreCore::has_all_runs(const TableSums& runs) {
  std::optional<AllRuns> seen;
  {
    const std::lock_guard guard(index_mutex_);
    seen = all_runs_;
  }
  if (!seen || seen->runs != runs) return false;
  const auto directory = fs_->status(layout_.runs());
  return directory && seen->directory.device == directory->device &&
         seen->directory.inode == directory->inode &&
         seen->directory.changed_ns == directory->changed_ns;
}

void StoreCore::with_index(const std::function<void(const Index&)>& question) {
  question(*open_index());
}

bool StoreCore::ask(const std::function<void(const Index&)>& question) {
  check_process();
  if (!place_) return false;
  constexpr int attempts = 3;
  for (int attempt = 1;; ++attempt) {
    std::optional<Error> damage;
    try {
      if (index_state() != IndexState::trusted) {
        StoreLock held = lock();
        if (!is_trusted(held)) recover(held);
      }
      question(*open_index());
      return true;
    } catch (const Error& error) {
      if (error.code() == ErrorCode::locked || error.code() == ErrorCode::invalid_argument) throw;
      // A place that cannot be written, a full disk, no address space: the files have the answer.
      if (error.code() == ErrorCode::corrupt) damage = error;
      const bool missing = error.code() == ErrorCode::not_found;
      if (attempt == attempts || (!damage && !missing)) return false;
    }
    if (!damage) continue;  // missing: another process is rebuilding it, or the next round does
    StoreLock held = lock();
    replace_damaged(held, *damage);
  }
}

void StoreCore::prepare_for_save(StoreLock& lock) {
  if (!place_ || (!place_->in_store && synced_)) return;
  if (!is_trusted(lock)) recover(lock);
}

void StoreCore::prepare_for_removal(StoreLock& lock) {
  if (!place_ || !place_->in_store) return;
  try {
    // Files that an earlier removal has left dead are about to go: it may have been killed before
    // it synced what it told the index.
    if (is_trusted(lock)) return open_index()->sync();
    recover(lock);
  } catch (const Error&) {
    discard_index();
  }
}

bool StoreCore::ask_for_save(const std::function<void(const Index&)>& question) {
  if (place_ && !place_->in_store && index_state() != IndexState::trusted) return false;
  return ask(question);
}

bool StoreCore::ask_if_trusted(const StoreLock& lock,
                               const std::function<void(const Index&)>& question) noexcept {
  try {
    if (!is_trusted(lock)) return false;
    question(*open_index());
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

void StoreCore::finish_commit(StoreLock& lock, bool index_was_trusted,
                              const std::function<void(IndexUpdate&)>& change) noexcept {
  const bool in_store = place_ && place_->in_store;
  try {
    if (index_was_trusted) {
      const auto index = open_index();
      index->update(change);             // C7
      end_commit(lock, index->stamp());  // C8
    } else if (!in_store) {
      lock.end_without_index();
    }
  } catch (const std::exception&) {
    // The commit stands; `end` stays behind `begin`, and whoever asks next resyncs or rebuilds.
    close_index();
  }
}

void StoreCore::finish_removal(StoreLock& lock, bool index_was_trusted,
                               const std::function<void(IndexUpdate&)>& change) {
  finish_commit(lock, index_was_trusted, change);
  if (!place_ || !place_->in_store) return;
  try {
    if (is_trusted(lock)) return open_index()->sync();
  } catch (const Error&) {
  }
  discard_index();
}

void StoreCore::discard_index() {
  close_index();
  const StoreLayout& layout = place_->layout;
  const auto old = layout.root / fmt::format("index.old-{}", random_uuid().hex());
  if (!rename_index(*fs_, layout, old)) return;
  fs_->sync_directory(layout.root);
  remove_index(*fs_, old);
}

void StoreCore::end_commit(StoreLock& lock, const format::IndexStamp& stamp) {
  if (place_->in_store) return lock.end(stamp);
  format::StateBlock block;
  block.store = identity_.uuid;
  block.boot = boot_id();
  block.begin = block.end = lock.commit_number();
  block.holder_pid = process_id();
  block.holder_host = host_name();
  block.stamp = stamp;
  const auto file = fs_->open(place_->layout.lock(), OpenMode::create);
  file->write_at(0, format::encode_state_block(block));
  file->close();
  lock.end_without_index();
  synced_ = true;
}

// One that could not be told what was said of checkpoints since they were saved stays behind, and
// whoever asks next tries again.
void StoreCore::end_sync(StoreLock& lock, const format::IndexStamp& stamp, bool complete) {
  end_commit(lock, stamp);
  if (!complete) lock.begin(all_runs);
}

void StoreCore::recover(StoreLock& lock) {
  if (!place_) throw Error(ErrorCode::unsupported, notes_.front());
  const auto block = place_->in_store ? lock.block() : own_block();
  std::optional<Error> damage;
  if (block && same_file(block->stamp, fs_->status(place_->layout.index() / index_data_file))) {
    try {
      const auto index = open_index();
      const auto facts = known_facts(*fs_, layout_, identity_.uuid);
      sync_index(*fs_, layout_, *index, knows_removals(lock) ? Unfound::kept : Unfound::dropped,
                 facts);
      end_sync(lock, index->stamp(), facts.has_value());
      return;
    } catch (const Error& error) {
      close_index();
      if (error.code() != ErrorCode::corrupt) throw;
      damage = error;
    }
  }
  if (damage) return replace_damaged(lock, *damage);
  rebuild(lock);
}

void StoreCore::replace_damaged(StoreLock& lock, const Error& damage) {
  rebuild(lock);
  const std::lock_guard guard(index_mutex_);
  if (std::exchange(other_schema_, false)) return;
  index_damage_ = fmt::format(
      "{}: the index was damaged and has been made anew from the files; whether they are sound "
      "says: ckptool verify {}\n  {}",
      index_layout().index().string(), shell_word(layout_.root.string()), damage.what());
}

std::optional<std::string> StoreCore::index_damage() const {
  const std::lock_guard guard(index_mutex_);
  return index_damage_;
}

Store::RebuildReport StoreCore::rebuild(StoreLock& lock) {
  if (!place_) throw Error(ErrorCode::unsupported, notes_.front());
  const StoreLayout& layout = place_->layout;
  if (const auto there = fs_->status(layout.index()); there && !there->is_directory) {
    throw Error(ErrorCode::unsupported,
                fmt::format("{}: a file stands in the place of the index's directory; run: ckptool "
                            "repair {}",
                            layout.index().string(), shell_word(layout_.root.string())));
  }
  close_index();
  remove_leftovers(*fs_, layout);
  const auto fresh = layout.root / fmt::format("index.new-{}", random_uuid().hex());
  const auto old = layout.root / fmt::format("index.old-{}", random_uuid().hex());
  const auto facts = known_facts(*fs_, layout_, identity_.uuid);
  Store::RebuildReport report;
  try {
    {
      const auto index = Index::open(*fs_, fresh, layout.lock(), identity_.uuid, lock_timeout_ms_);
      report = sync_index(*fs_, layout_, *index, Unfound::dropped, facts);
    }
    rename_index(*fs_, layout, old);
    fs_->rename(fresh, layout.index());
  } catch (...) {
    remove_index(*fs_, fresh);
    throw;
  }
  fs_->sync_directory(layout.root);
  remove_index(*fs_, old);
  end_sync(lock, open_index()->stamp(), facts.has_value());
  return report;
}

}  // namespace ckp
