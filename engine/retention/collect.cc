#include "retention/collect.h"

#include <fmt/format.h>

#include "ckp/error.h"

namespace ckp {
namespace {

struct Roots {
  std::set<Uuid> packs;
  std::string unreadable;  // path of a root whose needs are unknown
};

// R3.
Roots find_roots(const Snapshot& snapshot, const std::set<Uuid>& going) {
  Roots roots;
  const auto oldest_save = snapshot.oldest_save();
  for (const auto& [uuid, pack] : snapshot.packs) {
    bool is_root = pack.file.name.state == PackState::live && !going.contains(uuid);
    if (oldest_save && !is_root) {
      is_root = going.contains(uuid) || pack.file.name.retired > *oldest_save;
    }
    if (!is_root) continue;
    roots.packs.insert(uuid);
    if (!pack.readable) roots.unreadable = pack.file.path.string();
  }
  return roots;
}

std::string describe_user(const Snapshot& snapshot, const PackFacts& user) {
  const auto& run = snapshot.runs[user.run];
  return fmt::format("{}@{}", run.record ? run.record->name : run.directory.name,
                     user.file.name.uuid.short_hex());
}

// Why a pack stays, or empty when it can go.
std::string reason_to_stay(const Snapshot& snapshot, const Roots& roots, const Uuid& uuid) {
  if (roots.packs.contains(uuid)) return "a save in progress may refer to it";
  if (!roots.unreadable.empty()) {
    return fmt::format("{} cannot be read, so what it needs is unknown; run: ckptool verify",
                       roots.unreadable);
  }
  for (const Uuid& root : roots.packs) {
    const PackFacts& user = snapshot.packs.at(root);
    if (user.needs.contains(uuid)) {
      return fmt::format("holds chunks that {} needs", describe_user(snapshot, user));
    }
  }
  return {};
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

}  // namespace

Collection plan_collection(const Snapshot& snapshot, const std::set<Uuid>& going) {
  Collection collection;
  const Roots roots = find_roots(snapshot, going);
  for (const auto& [uuid, pack] : snapshot.packs) {
    const bool goes = going.contains(uuid);
    if (!goes && pack.file.name.state != PackState::retired) continue;
    std::string reason = reason_to_stay(snapshot, roots, uuid);
    if (reason.empty()) {
      collection.doomed.insert(uuid);
      collection.bytes += pack.size;
    } else if (goes) {
      collection.held.emplace(uuid, std::move(reason));
    }
  }
  for (const LooseFile& file : snapshot.loose) {
    if (file.held) continue;
    collection.garbage.push_back(file);
    collection.bytes += file.size;
  }
  return collection;
}

void retire_and_collect(StoreCore& core, StoreLock& lock, const Snapshot& snapshot,
                        const std::set<Uuid>& going, const Collection& collection) {
  FileSystem& fs = core.fs();
  const bool trusted = core.is_trusted(lock);
  if (!going.empty() || !collection.doomed.empty()) {
    const std::uint64_t number = lock.begin(all_runs);
    retire(fs, snapshot, going, number);
    mark_dead(fs, snapshot, going, collection.doomed, number);
    const std::vector<Uuid> packs(going.begin(), going.end());
    core.finish_commit(lock, trusted, [&](IndexUpdate& update) {  // R5
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
}

}  // namespace ckp
