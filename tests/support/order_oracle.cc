#include "support/order_oracle.h"

#include <algorithm>

#include "store/layout.h"
#include "store/store_lock.h"

namespace ckp::test {
namespace {

using Path = std::filesystem::path;

// The originals that a repair keeps are no part of the store.
bool is_set_aside(const Path& path) {
  return std::find(path.begin(), path.end(), "set-aside") != path.end();
}

// A file in a run's directory, or the directory itself.
bool is_in_run(const Path& path) {
  return path.parent_path().parent_path().filename() == "runs" && path.has_filename() &&
         !is_set_aside(path);
}
bool is_run(const Path& path) {
  return path.parent_path().filename() == "runs" && !is_set_aside(path);
}
Path root_of_file(const Path& path) { return path.parent_path().parent_path().parent_path(); }

std::optional<PackName> pack_at(const Path& path) {
  return is_in_run(path) ? parse_pack_name(path.filename().string()) : std::nullopt;
}

bool ends_with(const Path& path, const char* suffix) {
  return path.filename().string().ends_with(suffix);
}

std::optional<format::StateBlock> read_block(const File& lock) {
  std::vector<std::byte> bytes(format::StateBlock::size);
  bytes.resize(lock.read_at(0, bytes));
  return format::decode_state_block(bytes);
}

}  // namespace

void OrderOracle::violation(const char* rule, const Path& path, const std::string& what) const {
  report_(std::string(rule) + ": " + path.string() + ": " + what);
}

int& OrderOracle::index_locks_held() {
  thread_local int held = 0;
  return held;
}

bool OrderOracle::entry_is_durable(const Path& path) const {
  const auto found = changed_.find(path.parent_path());
  return found == changed_.end() || !found->second.contains(path.filename().string());
}

OrderOracle::Session* OrderOracle::session_of(const Path& root, const Path& path,
                                              const char* rule) {
  const auto found = sessions_.find(root);
  if (found != sessions_.end() && found->second.holder == std::this_thread::get_id()) {
    return &found->second;
  }
  violation(rule, path, "without the store's lock");
  return nullptr;
}

void OrderOracle::check_finished(const Session& session, const Path& path) {
  for (const Path& directory : session.to_finish) {
    violation("L2", path,
              "an earlier commit was not ended, and " + directory.string() +
                  " has not been synced since the lock was taken");
  }
}

void OrderOracle::check_clean(const Path& file, const char* rule) {
  const auto found = clean_.find(file);
  if (found != clean_.end() && found->second) return;
  violation(rule, file, "renamed, and it was not synced after its last write");
}

void OrderOracle::check_announced(const Session& session, const Path& path, const char* rule) {
  const std::string directory = path.parent_path().filename().string();
  if (session.announced && (*session.announced == all_runs || *session.announced == directory)) {
    return;
  }
  violation(rule, path, "renamed before the state block announced it");
}

// Everything above a checkpoint must be durable before it.
void OrderOracle::check_parents(const Path& directory, const Path& root) {
  for (Path at = directory; at != root.parent_path(); at = at.parent_path()) {
    if (!entry_is_durable(at)) {
      violation("C6", directory, at.string() + " was made, and its parent has not been synced");
    }
  }
}

// L1, L2.
void OrderOracle::store_locked(const Path& root, FileSystem& fs, const File& lock) {
  const std::lock_guard guard(mutex_);
  if (index_locks_held() > 0) {
    violation("order of locks", root, "the store's lock is taken while the index's is held");
  }
  Session session;
  session.holder = std::this_thread::get_id();
  const auto block = read_block(lock);
  if (block) session.number = std::max(block->begin, block->end);
  if (!block || block->begin != block->end) {
    const bool all = !block || block->run_directory == all_runs;
    for (const std::string& name : fs.list(root / "runs")) {
      const Path directory = root / "runs" / name;
      const auto status = fs.status(directory);
      if (!status || !status->is_directory || (!all && name != block->run_directory)) continue;
      session.to_finish.insert(directory);
    }
    if (all) session.to_finish.insert(root / "runs");
  }
  sessions_[root] = std::move(session);
}

void OrderOracle::store_unlocked(const Path& root) {
  const std::lock_guard guard(mutex_);
  sessions_.erase(root);
}

void OrderOracle::index_locked(const Path& root, LockKind kind) {
  const std::lock_guard guard(mutex_);
  ++index_locks_held();
  const auto found = sessions_.find(root);
  if (kind != LockKind::exclusive || found == sessions_.end()) return;
  Session& session = found->second;
  if (session.holder != std::this_thread::get_id() || !session.announced) return;
  session.index_written = true;
  for (const Path& directory : session.renamed_in) {
    violation("C7", directory, "the index is updated before the directory is synced");
  }
}

// C4, C8.
void OrderOracle::block_written(const Path& root, std::span<const std::byte> bytes) {
  const std::lock_guard guard(mutex_);
  const Path path = root / "lock";
  const auto block = format::decode_state_block(bytes);
  if (!block) return;  // another file of that name
  Session* session = session_of(root, path, "L1");
  if (session == nullptr) return;
  check_finished(*session, path);
  for (const Path& directory : session->renamed_in) {
    violation("C6", directory, "the state block goes on, and the directory is not synced");
  }
  const bool begins = block->begin != block->end;
  if (block->begin < session->number || (begins && block->begin == session->number)) {
    violation("I5", path,
              "commit number " + std::to_string(block->begin) + " after " +
                  std::to_string(session->number));
  }
  session->number = block->begin;
  session->announced = begins ? std::optional(block->run_directory) : std::nullopt;
  session->index_written = false;
}

void OrderOracle::file_created(const Path& path) {
  const std::lock_guard guard(mutex_);
  entry_made(path);
  clean_[path] = false;
  const auto pack = pack_at(path);
  if (!pack) return;
  if (pack->state != PackState::temporary) {
    violation("S1", path, "a pack is written under another name than a temporary one");
  } else if (const Session* session = session_of(root_of_file(path), path, "S1")) {
    check_finished(*session, path);
  }
}

void OrderOracle::file_written(const Path& path) {
  const std::lock_guard guard(mutex_);
  clean_[path] = false;
}

void OrderOracle::file_synced(const Path& path) {
  const std::lock_guard guard(mutex_);
  clean_[path] = true;
}

void OrderOracle::entry_made(const Path& path) {
  const std::lock_guard guard(mutex_);
  changed_[path.parent_path()].insert(path.filename().string());
}

void OrderOracle::renamed(const Path& from, const Path& to, bool may_replace, bool replaced,
                          FileSystem& fs) {
  const std::lock_guard guard(mutex_);
  if (pack_at(from) || pack_at(to)) {
    // What is rewritten (W3) or mended (P6) takes the place of a file; a commit must not be able
    // to.
    if (may_replace && !replaced) violation("C5", to, "the rename may replace another pack");
    pack_renamed(from, to);
    check_trash_announced(to, fs);
  } else if (is_run(from)) {
    run_renamed(from, to, fs);
  } else if (to.filename() == "STORE") {
    identity_renamed(to);
  } else if (to.filename() == "marks" && !is_set_aside(to)) {
    Session* const session = session_of(to.parent_path(), to, "M1");
    check_clean(from, "M2");
    // What they say must not reach the index before it is durable.
    if (session != nullptr) session->renamed_in.insert(to.parent_path());
  }
  if (const auto clean = clean_.extract(from)) clean_[to] = clean.mapped();
  changed_[from.parent_path()].insert(from.filename().string());
  entry_made(to);
}

void OrderOracle::pack_renamed(const Path& from, const Path& to) {
  const auto before = pack_at(from), after = pack_at(to);
  if (before && before == after && from.parent_path() != to.parent_path()) {
    return pack_put_back(from, to);
  }
  if (!before || !after || from.parent_path() != to.parent_path()) {
    return violation("H3", from, "a pack is renamed to " + to.string());
  }
  const bool rewritten =
      before->state == PackState::temporary && after->state == PackState::retired;  // W3
  Session* session = session_of(root_of_file(from), from, "C1");
  if (session == nullptr) return;
  check_finished(*session, from);
  if (before->state == PackState::temporary) check_clean(from, "S4");
  switch (after->state) {
    case PackState::temporary:
      return violation("S1", to, "a pack gets a temporary name");
    case PackState::live:
      if (before->state != PackState::temporary && !before->in_trash()) {
        violation("T6", from, "a checkpoint comes back that was not in the trash");
      }
      pack_committed(*session, from, to);
      break;
    case PackState::retired:
      if (rewritten) return;
      check_announced(*session, from, "R2");
      session->retired_in.insert(to.parent_path());
      break;
    case PackState::dead:
      pack_died(*session, from, to);
      break;
  }
  session->renamed_in.insert(to.parent_path());
}

// T1.
void OrderOracle::check_trash_announced(const Path& to, FileSystem& fs) {
  const auto pack = pack_at(to);
  if (!pack || !pack->in_trash()) return;
  const Path store = root_of_file(to) / "STORE";
  if (!entry_is_durable(store)) violation("T1", to, "STORE is not durable yet");
  std::vector<std::byte> bytes(format::StoreIdentity::size);
  if (fs.status(store)) {
    fs.open(store, OpenMode::read)->read_at(0, bytes);
    if ((format::decode_store_identity(bytes).features.refuse & format::feature::trash) != 0)
      return;
  }
  violation("T1", to, "STORE does not say that there is a trash");
}

// P6, of a sound pack in another run's directory: its name stays.
void OrderOracle::pack_put_back(const Path& from, const Path& to) {
  Session* session = session_of(root_of_file(from), from, "P6");
  if (session == nullptr) return;
  check_finished(*session, from);
  if (pack_at(from)->state == PackState::temporary) {
    violation("P6", from, "a pack that is being written is moved");
  }
  if (session->announced != std::string(all_runs)) {
    violation("P5", from, "renamed before the state block announced it");
  }
  session->renamed_in.insert(from.parent_path());
  session->renamed_in.insert(to.parent_path());
}

// C5.
void OrderOracle::pack_committed(Session& session, const Path& from, const Path& to) {
  check_announced(session, from, "C4");
  check_parents(to.parent_path(), root_of_file(to));
  if (session.index_written) violation("C7", to, "the index was updated before the rename");
  session.committed.insert(to);
}

// R4; or a commit that is taken back.
void OrderOracle::pack_died(Session& session, const Path& from, const Path&) {
  if (session.committed.contains(from)) return;
  check_announced(session, from, "R4");
  if (pack_at(from)->is_kept()) violation("R2", from, "dead without being retired");
  for (const Path& directory : session.retired_in) {
    violation("R4", from, "dead before the retiring in " + directory.string() + " is durable");
  }
}

// A1, and the removal of a run.
void OrderOracle::run_renamed(const Path& from, const Path& to, FileSystem& fs) {
  const Path root = from.parent_path().parent_path();
  Session* session = session_of(root, from, "A1");
  if (session == nullptr) return;
  check_finished(*session, from);
  if (ends_with(to, ".new")) return;  // a run that could not be made is taken back
  if (session->announced != std::string(all_runs)) {
    violation("A1", from, "renamed before the state block announced it");
  }
  for (const std::string& name : fs.list(to)) {
    const auto pack = parse_pack_name(name);
    if (ends_with(to, ".dead") && pack && pack->is_kept()) {
      violation("R2", from / name, "its run is taken away before it is retired");
    }
    if (!ends_with(from, ".new")) continue;
    check_clean(from / name, "A1");
    if (!entry_is_durable(from / name)) {
      violation("A1", from, "renamed before the directory was synced");
    }
  }
  if (ends_with(from, ".new")) check_parents(from.parent_path(), root);
  session->renamed_in.insert(from.parent_path());
}

// N1 to N3.
void OrderOracle::identity_renamed(const Path& to) {
  const Path root = to.parent_path();
  for (const Path& part : {root, root / "runs", root / "lock"}) {
    if (entry_is_durable(part)) continue;
    violation("N2", to, part.string() + " is not durable yet");
  }
  if (!entry_is_durable(root / "marks")) violation("M3", to, "the marks are not durable yet");
}

void OrderOracle::removed(const Path& path) {
  const std::lock_guard guard(mutex_);
  clean_.erase(path);
  const auto pack = pack_at(path);
  // Below a run that has been moved away the names play no part any more.
  const bool run_is_dead = ends_with(path.parent_path(), ".dead");
  if (pack && run_is_dead && !entry_is_durable(path.parent_path())) {
    violation("R6", path, "removed before the removal of its run is durable");
  } else if (pack && !run_is_dead && pack->state == PackState::live) {
    violation("R2", path, "a live checkpoint is unlinked");
  } else if (pack && !run_is_dead && pack->state == PackState::retired) {
    violation("R4", path, "a retired checkpoint is unlinked before it is dead");
  } else if (pack && pack->state == PackState::dead && !run_is_dead && !entry_is_durable(path)) {
    violation("R6", path, "unlinked before its renaming is durable");
  }
  const auto directory = changed_.find(path.parent_path());
  if (directory != changed_.end()) directory->second.erase(path.filename().string());
}

void OrderOracle::directory_synced(const Path& path) {
  const std::lock_guard guard(mutex_);
  changed_.erase(path);
  for (auto& [root, session] : sessions_) {
    if (session.holder != std::this_thread::get_id()) continue;
    session.to_finish.erase(path);
    session.renamed_in.erase(path);
    session.retired_in.erase(path);
  }
}

}  // namespace ckp::test
