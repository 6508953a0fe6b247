#include "retention/collect.h"

#include <fmt/format.h>

#include "ckp/error.h"
#include "store/trash.h"

namespace ckp {
namespace {

std::string describe_user(const Snapshot& snapshot, const PackFacts& user) {
  const auto& run = snapshot.runs[user.run];
  return fmt::format("{}@{}", run.record ? run.record->name : run.directory.name,
                     user.file.name.uuid.short_hex());
}

// Why a pack stays, or empty when it can go.
std::string reason_to_stay(const Snapshot& snapshot, const Roots& roots, const PackName& name) {
  const Uuid& uuid = name.uuid;
  if (roots.contains(uuid)) return "a save in progress may refer to it";
  if (const auto user = roots.unreadable_user_of(name)) {
    return fmt::format(
        "{} cannot be read, so it may need this; the next prune frees it when that can be read "
        "again, or is out of the way: {}",
        user->path, user->remedy);
  }
  if (const PackFacts* user = roots.user_of(uuid)) {
    return fmt::format("holds chunks that {} needs", describe_user(snapshot, *user));
  }
  return {};
}

// Nothing when the pack must stay as it is, or is not worth the work.
std::optional<PlannedRewrite> plan_rewrite(const Roots& roots, const PackFacts& pack,
                                           std::uint64_t size, double waste_threshold) {
  const Uuid& uuid = pack.file.name.uuid;
  if (roots.contains(uuid) || roots.unreadable_user_of(pack.file.name)) return std::nullopt;
  if (!pack.readable || !pack.rewritable) return std::nullopt;
  PlannedRewrite rewrite{uuid, roots.needed_of(uuid), size, 0};
  std::vector<std::uint32_t> sizes;
  for (const StoredChunk& chunk : pack.chunks) {
    if (rewrite.needed.contains(chunk.number)) sizes.push_back(chunk.stored_size);
  }
  if (sizes.size() != rewrite.needed.size()) return std::nullopt;  // damage: not to be touched
  rewrite.bytes_after = format::pack_size(sizes, pack.alignment_log2);
  if (rewrite.bytes_after >= rewrite.bytes_before) return std::nullopt;
  const auto dead = static_cast<double>(rewrite.bytes_before - rewrite.bytes_after);
  if (dead < waste_threshold * static_cast<double>(rewrite.bytes_before)) return std::nullopt;
  return rewrite;
}

std::filesystem::path renamed(const std::filesystem::path& path, PackName name) {
  return path.parent_path() / to_file_name(name);
}

void sync_all(FileSystem& fs, const std::set<std::filesystem::path>& directories) {
  for (const auto& directory : directories) fs.sync_directory(directory);
}

std::filesystem::path dead_path(const ScannedPack& file) {
  PackName name = file.name;
  name.state = PackState::dead;
  return renamed(file.path, name);
}

// What a pack is called after R2. One that leaves the trash was retired when it went there: what
// saves may refer to it since then has not changed.
ScannedPack after_retiring(const ScannedPack& file, const Departures& departures,
                           std::uint64_t number) {
  ScannedPack retired = file;
  if (departures.expired.contains(file.name.uuid)) {
    retired.name.trash_until = 0;
  } else if (departures.going.contains(file.name.uuid)) {
    const auto until = departures.trash_until.find(file.name.uuid);
    retired.name.state = PackState::retired;
    retired.name.retired = number;
    if (until != departures.trash_until.end()) retired.name.trash_until = until->second;
  }
  retired.path = renamed(file.path, retired.name);
  return retired;
}

// R2.
void retire(FileSystem& fs, const Snapshot& snapshot, const Departures& departures,
            std::uint64_t number) {
  std::set<std::filesystem::path> touched;
  for (const std::set<Uuid>* leaving : {&departures.going, &departures.expired}) {
    for (const Uuid& uuid : *leaving) {
      const ScannedPack& file = snapshot.packs.at(uuid).file;
      fs.rename(file.path, after_retiring(file, departures, number).path);
      touched.insert(file.path.parent_path());
    }
  }
  sync_all(fs, touched);
}

// R4.
void mark_dead(FileSystem& fs, const Snapshot& snapshot, const Departures& departures,
               const std::set<Uuid>& doomed, std::uint64_t number) {
  std::set<std::filesystem::path> touched;
  for (const Uuid& uuid : doomed) {
    const ScannedPack file = after_retiring(snapshot.packs.at(uuid).file, departures, number);
    fs.rename(file.path, dead_path(file));
    touched.insert(file.path.parent_path());
  }
  sync_all(fs, touched);
}

void remove_directory(FileSystem& fs, const std::filesystem::path& directory) {
  try {
    for (const std::string& name : fs.list(directory)) fs.remove(directory / name);
    fs.remove(directory);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::not_found) throw;  // another process was faster
  }
}

// A removed run's directory stays as long as others need chunks in it.
void remove_empty_runs(StoreCore& core, const Snapshot& snapshot) {
  for (const RunFacts& run : snapshot.runs) {
    if (run.record) continue;
    try {
      if (core.fs().list(run.directory.path).empty()) core.fs().remove(run.directory.path);
    } catch (const Error& error) {
      // Another process was faster, or has begun to rewrite a pack there.
      const bool busy = error.code() == ErrorCode::already_exists;
      if (error.code() != ErrorCode::not_found && !busy) throw;
    }
  }
}

}  // namespace

std::set<Uuid> expired_trash(const Snapshot& snapshot, std::int64_t now_ns, bool all) {
  constexpr std::int64_t second_ns = 1'000'000'000;
  std::set<Uuid> expired;
  for (const auto& [uuid, pack] : snapshot.packs) {
    const PackName& name = pack.file.name;
    if (name.in_trash() && (all || name.trash_until <= now_ns / second_ns)) expired.insert(uuid);
  }
  return expired;
}

Roots::Roots(const Snapshot& snapshot, const Departures& departures) {
  const auto oldest_save = snapshot.oldest_save();
  for (const auto& [uuid, pack] : snapshot.packs) {
    const PackName& name = pack.file.name;
    bool is_root = name.is_kept() && !departures.takes(uuid);
    if (oldest_save && !is_root) {
      is_root = departures.going.contains(uuid) || name.retired > *oldest_save;
    }
    if (!is_root) continue;
    packs_.insert(uuid);
    for (const auto& [needed, numbers] : pack.needs) users_[needed].push_back(&pack);
    if (!pack.readable) unreadable_.push_back(&pack);
  }
  if (!snapshot.unreachable_runs.empty()) unreachable_run_ = snapshot.unreachable_runs.front();
}

std::optional<UnreadableUser> Roots::unreadable_user_of(const PackName& pack) const {
  if (!unreachable_run_.empty()) return UnreadableUser{unreachable_run_, "mount its disk"};
  for (const PackFacts* user : unreadable_) {
    const PackName& name = user->file.name;
    if (!user->newer && pack.commit > name.commit) continue;
    return UnreadableUser{user->file.path.string(),
                          user->newer       ? "a newer version has written it"
                          : name.in_trash() ? "prune --empty-trash gives it up"
                                            : "ckptool repair mends it or sets it aside"};
  }
  return std::nullopt;
}

const PackFacts* Roots::user_of(const Uuid& pack) const {
  const auto found = users_.find(pack);
  return found == users_.end() ? nullptr : found->second.front();
}

ChunkNumbers Roots::needed_of(const Uuid& pack) const {
  ChunkNumbers needed;
  const auto found = users_.find(pack);
  if (found == users_.end()) return needed;
  for (const PackFacts* user : found->second) needed.add(user->needs.at(pack));
  return needed;
}

std::uint64_t Collection::bytes() const {
  std::uint64_t sum = doomed_bytes + garbage_bytes;
  for (const PlannedRewrite& rewrite : rewrites) sum += rewrite.bytes_before - rewrite.bytes_after;
  return sum;
}

std::uint64_t Collection::size_after(const Uuid& pack, std::uint64_t size) const {
  for (const PlannedRewrite& rewrite : rewrites) {
    if (rewrite.pack == pack) return rewrite.bytes_after;
  }
  return size;
}

Collection plan_collection(const Snapshot& snapshot, const Departures& departures,
                           double waste_threshold, const Collection& earlier) {
  Collection collection;
  const Roots roots(snapshot, departures);
  for (const auto& [uuid, pack] : snapshot.packs) {
    const bool leaves = departures.takes(uuid);
    if (!leaves && pack.file.name.state != PackState::retired) continue;
    if (earlier.doomed.contains(uuid)) continue;
    const std::uint64_t size = earlier.size_after(uuid, pack.size);
    std::string reason = reason_to_stay(snapshot, roots, pack.file.name);
    if (reason.empty()) {
      collection.doomed.insert(uuid);
      collection.doomed_bytes += size;
      continue;
    }
    if (leaves) collection.held.emplace(uuid, std::move(reason));
    if (auto rewrite = plan_rewrite(roots, pack, size, waste_threshold)) {
      collection.rewrites.push_back(std::move(*rewrite));
    }
  }
  for (const LooseFile& file : snapshot.loose) {
    if (file.held || !earlier.garbage.empty()) continue;
    collection.garbage.push_back(file);
    collection.garbage_bytes += file.size;
  }
  return collection;
}

void retire_and_collect(StoreCore& core, StoreLock& lock, const Snapshot& snapshot,
                        const Departures& departures, const Collection& collection) {
  FileSystem& fs = core.fs();
  core.prepare_for_removal(lock);
  const bool trusted = core.is_trusted(lock);
  const std::vector<Uuid> going(departures.going.begin(), departures.going.end());
  if (!departures.trash_until.empty()) announce_trash(core);
  if (!going.empty() || !departures.expired.empty() || !collection.doomed.empty()) {
    const std::uint64_t number = lock.begin(all_runs);
    retire(fs, snapshot, departures, number);
    mark_dead(fs, snapshot, departures, collection.doomed, number);
    core.finish_removal(lock, trusted, [&](IndexUpdate& update) {  // R5
      for (const Uuid& uuid : going) update.erase_checkpoint(uuid);
      if (!going.empty()) update.erase_chunks(going);
    });
  }
  if (departures.trash_until.empty()) denounce_trash(core);
}

void unlink_dead(StoreCore& core, const Snapshot& snapshot, const std::set<Uuid>& doomed,
                 const std::vector<LooseFile>& garbage) {
  FileSystem& fs = core.fs();
  for (const Uuid& uuid : doomed) fs.remove(dead_path(snapshot.packs.at(uuid).file));
  for (const LooseFile& file : garbage) fs.remove(file.path);
  for (const auto& directory : snapshot.dead_directories) remove_directory(fs, directory);
  remove_empty_runs(core, snapshot);
}

}  // namespace ckp
