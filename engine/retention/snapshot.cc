#include "retention/snapshot.h"

#include <fmt/format.h>

#include <algorithm>

#include "ckp/error.h"

namespace ckp {
namespace {

std::map<Uuid, ChunkNumbers> needs_of(const format::Manifest& manifest) {
  std::map<Uuid, std::vector<std::uint32_t>> numbers;
  for (const auto& reference : manifest.references) {
    if (reference.address.pack.is_nil()) continue;
    numbers[reference.address.pack].push_back(reference.address.number);
  }
  std::map<Uuid, ChunkNumbers> needs;
  for (auto& [pack, all] : numbers) needs.emplace(pack, ChunkNumbers(std::move(all)));
  return needs;
}

void add_chunks(const format::PackDirectory& directory, PackFacts& facts) {
  facts.chunks.clear();
  for (const format::TableEntry& entry : directory.chunks) {
    facts.chunks.push_back({entry.number, entry.stored_size});
  }
  facts.alignment_log2 = directory.header.alignment_log2;
  facts.manifest_bytes = 0;
  facts.manifest_copies = directory.manifests.size();
  for (const format::TableEntry& entry : directory.manifests) {
    facts.manifest_bytes += entry.stored_size;
  }
  const format::Features& uses = directory.uses;
  facts.rewritable = directory.header.versions.write_version <= format::current_version &&
                     uses.ignore == 0 && uses.read_only == 0;
}

// A retired pack that was rewritten is only a holder of chunks.
std::optional<OpenPack> open_without_manifest(FileSystem& fs, const ScannedPack& file) {
  if (file.name.state != PackState::retired) return std::nullopt;
  OpenPack pack = open_pack(fs, file.path);
  if (pack.directory.header.uuid != file.name.uuid) return std::nullopt;
  if (!pack.directory.manifests.empty()) return std::nullopt;
  return pack;
}

void read_facts(FileSystem& fs, PackFacts& facts) {
  facts.readable = facts.newer = false;
  facts.needs.clear();
  try {
    auto pack = open_without_manifest(fs, facts.file);
    if (!pack) {
      ScannedCheckpoint checkpoint = read_checkpoint(fs, facts.file);
      facts.needs = needs_of(checkpoint.manifest);
      facts.record = std::move(checkpoint.record);
      pack = std::move(checkpoint.pack);
    }
    add_chunks(pack->directory, facts);
    // A pack with features that this version may only read may need more than it shows.
    facts.readable = format::check_readable(pack->directory.header.versions, pack->directory.uses,
                                            facts.file.path.string());
    facts.newer = !facts.readable;
  } catch (const Error& error) {
    if (error.code() == ErrorCode::out_of_resources) throw;  // it may be sound
    facts.newer = error.code() == ErrorCode::newer_format;   // or it is damaged, or gone
  }
}

// A pack has one file. When somebody has copied it, the one in its own run's directory counts.
void add_repeated(StoreCore& core, PackFacts facts, PackCache& cache, Snapshot& snapshot) {
  PackFacts& known = snapshot.packs.at(facts.file.name.uuid);
  read_facts(core.fs(), facts);
  if (known.readable || !facts.readable) {
    snapshot.repeated.push_back(facts.file.path);
    return;
  }
  snapshot.repeated.push_back(known.file.path);
  facts.record.commit = facts.file.name.commit;
  known = facts;
  cache[facts.file.name.uuid] = facts;
  if (facts.file.name.state == PackState::live) {
    snapshot.runs[facts.run].checkpoints.push_back(facts.record);
  }
}

void add_pack(StoreCore& core, const ScannedPack& file, std::uint64_t size, std::size_t run,
              PackCache& cache, Snapshot& snapshot) {
  if (snapshot.packs.contains(file.name.uuid)) {
    PackFacts facts;
    facts.file = file;
    facts.size = size;
    facts.run = run;
    return add_repeated(core, std::move(facts), cache, snapshot);
  }
  auto [cached, is_new] = cache.try_emplace(file.name.uuid);
  PackFacts& facts = cached->second;
  const bool is_rewritten = facts.size != size;
  facts.file = file;
  facts.size = size;
  facts.run = run;
  if (is_new || is_rewritten || !facts.readable) read_facts(core.fs(), facts);
  facts.record.commit = file.name.commit;
  snapshot.packs[file.name.uuid] = facts;
  if (file.name.state == PackState::live && facts.readable) {
    snapshot.runs[run].checkpoints.push_back(facts.record);
  }
}

// One that went away since the listing was pruned; one that is listed still was not.
void add_unreachable(StoreCore& core, const ScannedPack& pack, std::size_t run,
                     Snapshot& snapshot) {
  if (pack.name.state != PackState::live && pack.name.state != PackState::retired) return;
  if (!is_link_to_nowhere(core.fs(), pack.path)) return;
  PackFacts facts;
  facts.file = pack;
  facts.run = run;
  snapshot.unreachable.push_back({std::move(facts)});
}

void add_run(StoreCore& core, const std::string& name, PackCache& cache, Snapshot& snapshot) {
  FileSystem& fs = core.fs();
  const std::size_t run = snapshot.runs.size();
  snapshot.runs.push_back({list_run(fs, core.layout(), name), std::nullopt, {}});
  const RunDirectory directory = snapshot.runs[run].directory;
  snapshot.runs[run].record = read_run(fs, directory);
  for (const ScannedPack& pack : directory.packs) {
    const auto status = fs.status(pack.path);
    if (!status) {
      add_unreachable(core, pack, run, snapshot);
    } else if (pack.name.state == PackState::temporary) {
      snapshot.loose.push_back({pack.path, status->size, is_held(fs, pack.path), pack.name.began});
    } else if (pack.name.state == PackState::dead) {
      snapshot.loose.push_back({pack.path, status->size, false, 0});
    } else {
      add_pack(core, pack, status->size, run, cache, snapshot);
    }
  }
}

// "<slug>-<id>.new" of a run whose making was killed, "<slug>-<id>.dead" of one whose removal was.
// Anything else of such a name is somebody's.
bool is_leftover(StoreCore& core, std::string_view name) {
  for (const std::string_view suffix : {".new", ".dead"}) {
    if (!name.ends_with(suffix)) continue;
    if (!parse_run_directory(name.substr(0, name.size() - suffix.size()))) return false;
    const auto status = core.fs().status(core.layout().run(name));
    return status && status->is_directory;
  }
  return false;
}

}  // namespace

std::string UnreachableFile::what_is_wrong() const {
  return fmt::format(
      "{}: the directory lists this file, and it leads nowhere: a symbolic link whose target is "
      "gone; bring the target back, or remove the link",
      facts.file.path.string());
}

bool is_held(FileSystem& fs, const std::filesystem::path& path) {
  try {
    return !fs.open(path, OpenMode::read)->lock(owner_lock_byte, LockKind::shared, false);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::not_found) return false;
    return true;  // when in doubt, in progress
  }
}

std::optional<std::uint64_t> Snapshot::oldest_save() const {
  std::optional<std::uint64_t> oldest;
  for (const LooseFile& file : loose) {
    if (file.held) oldest = std::min(oldest.value_or(file.began), file.began);
  }
  return oldest;
}

Snapshot take_snapshot(StoreCore& core, PackCache& cache) {
  Snapshot snapshot;
  for (const std::string& name : list_runs(core.fs(), core.layout())) {
    if (is_leftover(core, name)) snapshot.dead_directories.push_back(core.layout().run(name));
  }
  for (const std::string& name : list_run_directories(core.fs(), core.layout())) {
    add_run(core, name, cache, snapshot);
  }
  snapshot.unreachable_runs = list_unreachable_runs(core.fs(), core.layout());
  // What it refers to nobody knows.
  for (const UnreachableFile& file : snapshot.unreachable) {
    snapshot.packs.try_emplace(file.facts.file.name.uuid, file.facts);
  }
  return snapshot;
}

}  // namespace ckp
