#include "retention/collect.h"

#include <fmt/format.h>

#include "ckp/error.h"

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
                                           double waste_threshold) {
  const Uuid& uuid = pack.file.name.uuid;
  if (roots.contains(uuid) || roots.unreadable_user_of(pack.file.name)) return std::nullopt;
  if (!pack.readable || !pack.rewritable) return std::nullopt;
  PlannedRewrite rewrite{uuid, roots.needed_of(uuid), pack.size, 0};
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

// The path of a pack of `going` after R2, of any other as it was.
ScannedPack after_retiring(const ScannedPack& file, const std::set<Uuid>& going,
                           std::uint64_t number) {
  if (!going.contains(file.name.uuid)) return file;
  ScannedPack retired = file;
  retired.name.state = PackState::retired;
  retired.name.retired = number;
  retired.path = renamed(file.path, retired.name);
  return retired;
}

// R2.
void retire(FileSystem& fs, const Snapshot& snapshot, const std::set<Uuid>& going,
            std::uint64_t number) {
  std::set<std::filesystem::path> touched;
  for (const Uuid& uuid : going) {
    const ScannedPack& file = snapshot.packs.at(uuid).file;
    fs.rename(file.path, after_retiring(file, going, number).path);
    touched.insert(file.path.parent_path());
  }
  sync_all(fs, touched);
}

// R4.
void mark_dead(FileSystem& fs, const Snapshot& snapshot, const std::set<Uuid>& going,
               const std::set<Uuid>& doomed, std::uint64_t number) {
  std::set<std::filesystem::path> touched;
  for (const Uuid& uuid : doomed) {
    const ScannedPack file = after_retiring(snapshot.packs.at(uuid).file, going, number);
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

Roots::Roots(const Snapshot& snapshot, const std::set<Uuid>& going) {
  const auto oldest_save = snapshot.oldest_save();
  for (const auto& [uuid, pack] : snapshot.packs) {
    bool is_root = pack.file.name.state == PackState::live && !going.contains(uuid);
    if (oldest_save && !is_root) {
      is_root = going.contains(uuid) || pack.file.name.retired > *oldest_save;
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
    if (!user->newer && pack.commit > user->file.name.commit) continue;
    return UnreadableUser{user->file.path.string(),
                          user->newer ? "a newer version has written it"
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

Collection plan_collection(const Snapshot& snapshot, const std::set<Uuid>& going,
                           double waste_threshold) {
  Collection collection;
  const Roots roots(snapshot, going);
  for (const auto& [uuid, pack] : snapshot.packs) {
    const bool goes = going.contains(uuid);
    if (!goes && pack.file.name.state != PackState::retired) continue;
    std::string reason = reason_to_stay(snapshot, roots, pack.file.name);
    if (reason.empty()) {
      collection.doomed.insert(uuid);
      collection.doomed_bytes += pack.size;
      continue;
    }
    if (goes) collection.held.emplace(uuid, std::move(reason));
    if (auto rewrite = plan_rewrite(roots, pack, waste_threshold)) {
      collection.rewrites.push_back(std::move(*rewrite));
    }
  }
  for (const LooseFile& file : snapshot.loose) {
    if (file.held) continue;
    collection.garbage.push_back(file);
    collection.garbage_bytes += file.size;
  }
  return collection;
}

void retire_and_collect(StoreCore& core, StoreLock& lock, const Snapshot& snapshot,
                        const std::set<Uuid>& going, const Collection& collection) {
  FileSystem& fs = core.fs();
  core.prepare_for_removal(lock);
  const bool trusted = core.is_trusted(lock);
  if (!going.empty() || !collection.doomed.empty()) {
    const std::uint64_t number = lock.begin(all_runs);
    retire(fs, snapshot, going, number);
    mark_dead(fs, snapshot, going, collection.doomed, number);
    const std::vector<Uuid> packs(going.begin(), going.end());
    core.finish_removal(lock, trusted, [&](IndexUpdate& update) {  // R5
      for (const Uuid& uuid : packs) update.erase_checkpoint(uuid);
      if (!packs.empty()) update.erase_chunks(packs);
    });
  }
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
