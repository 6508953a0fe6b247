#include "retention/take_stats.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <tuple>

#include "ckp/error.h"
#include "retention/collect.h"

namespace ckp {
namespace {

// Of files whose directories the store made itself; strangers' links may lead in circles.
constexpr int deepest_set_aside = 6;

std::uint64_t file_bytes(FileSystem& fs, const std::filesystem::path& path, int depth) {
  try {
    const auto status = fs.status(path);
    if (!status) return 0;
    if (!status->is_directory) return status->size;
    std::uint64_t sum = 0;
    if (depth == 0) return sum;
    for (const std::string& name : fs.list(path)) sum += file_bytes(fs, path / name, depth - 1);
    return sum;
  } catch (const Error& error) {
    if (error.code() == ErrorCode::not_found) return 0;  // just removed
    throw;
  }
}

// Bytes [offset, offset + length) of a chunk that a storage consists of; or none, of a patch or
// difference.
struct ChunkUse {
  Uuid pack;
  std::uint32_t number = 0;
  std::uint32_t offset = 0;
  std::uint32_t length = 0;
  std::uint32_t raw_size = 0;
  bool patch = false;
  auto place() const { return std::tuple(pack, number); }
};

// By place and offset; every reference at least once.
std::vector<ChunkUse> uses_of(const format::Manifest& manifest, const Uuid& own_pack) {
  std::vector<ChunkUse> uses;
  const auto add = [&](std::uint32_t number, std::uint32_t offset, std::uint32_t length,
                       bool patch = false) {
    const format::ChunkReference& reference = manifest.references[number];
    const Uuid& pack = reference.address.pack;
    uses.push_back({pack.is_nil() ? own_pack : pack, reference.address.number, offset, length,
                    reference.raw_size, patch});
  };
  for (std::uint32_t i = 0; i < manifest.references.size(); ++i) add(i, 0, 0);
  for (const format::StorageEntry& storage : manifest.storages) {
    for (const format::StoragePiece& piece : storage.pieces) {
      if (piece.reference == format::no_reference) continue;
      add(piece.reference, piece.offset, piece.length);
    }
  }
  for (const format::Patch& patch : manifest.patches) add(patch.reference, 0, 0, true);
  for (const format::Difference& each : manifest.differences) add(each.reference, 0, 0, true);
  std::sort(uses.begin(), uses.end(), [](const ChunkUse& a, const ChunkUse& b) {
    return std::tuple(a.place(), a.offset) < std::tuple(b.place(), b.offset);
  });
  return uses;
}

class StatsTaker {
 public:
  StatsTaker(StoreCore& core, const Snapshot& snapshot, const Collection& collection)
      : core_(core), snapshot_(snapshot), collection_(collection) {
    for (const RunFacts& run : snapshot_.runs) {
      RunStats one;
      one.name = name_of(run);
      one.directory = run.directory.name;
      one.id = run.directory.run;
      stats_.runs.push_back(std::move(one));
    }
  }

  StoreStats run() {
    count_checkpoints();
    for (const auto& [uuid, pack] : snapshot_.packs) count_pack(uuid, pack);
    for (std::size_t i = 0; i < snapshot_.runs.size(); ++i) count_other_files(i);
    for (const UnreachableFile& file : snapshot_.unreachable) {
      add_unread(file.facts, ErrorCode::io, file.what_is_wrong());
    }
    for (const std::string& run : snapshot_.unreachable_runs) {
      const Error error = leads_nowhere(core_.layout(), run);
      stats_.unread.push_back({core_.layout().run(run).string(), run, error.code(), error.what()});
    }
    for (const RunStats& run : stats_.runs) {
      stats_.needed += run.needed;
      stats_.disk += run.disk;
    }
    count_beside_runs();
    return std::move(stats_);
  }

 private:
  static std::string name_of(const RunFacts& run) {
    return run.record ? run.record->name : run.directory.name;
  }

  void add_unread(const PackFacts& pack, ErrorCode code, std::string message) {
    stats_.unread.push_back(
        {pack.file.path.string(), name_of(snapshot_.runs[pack.run]), code, std::move(message)});
  }

  bool is_unreachable(const Uuid& uuid) const {
    return std::any_of(
        snapshot_.unreachable.begin(), snapshot_.unreachable.end(),
        [&](const UnreachableFile& file) { return file.facts.file.name.uuid == uuid; });
  }

  // In commit order: the first that needs a chunk pays for it.
  void count_checkpoints() {
    std::vector<const PackFacts*> live;
    for (const auto& [uuid, pack] : snapshot_.packs) {
      if (pack.file.name.state == PackState::live) live.push_back(&pack);
    }
    std::sort(live.begin(), live.end(), [](const PackFacts* a, const PackFacts* b) {
      return a->file.name.commit < b->file.name.commit;
    });
    for (const PackFacts* const pack : live) {
      try {
        if (is_unreachable(pack->file.name.uuid)) continue;  // named by itself
        const ScannedCheckpoint checkpoint = read_checkpoint(core_.fs(), pack->file);
        if (!pack->readable) {
          add_unread(*pack, ErrorCode::newer_format,
                     fmt::format("{}: a newer version has written it, and it may need more than "
                                 "this version sees",
                                 pack->file.path.string()));
          continue;
        }
        count_checkpoint(checkpoint.manifest, pack->file.name.uuid, stats_.runs[pack->run].needed);
      } catch (const Error& error) {
        if (error.code() == ErrorCode::not_found) throw;  // pruned meanwhile
        add_unread(*pack, error.code(), error.what());
      }
    }
  }

  void count_checkpoint(const format::Manifest& manifest, const Uuid& own_pack,
                        NeededBytes& needed) {
    ++needed.checkpoints;
    std::uint64_t raw = 0, new_raw = 0, derived = 0;
    for (const format::StorageEntry& storage : manifest.storages) raw += storage.size;
    std::map<Uuid, std::vector<std::uint32_t>> fresh;
    const std::vector<ChunkUse> uses = uses_of(manifest, own_pack);
    for (std::size_t i = 0; i < uses.size();) {
      const ChunkUse& chunk = uses[i];
      std::uint64_t covered = 0, end = 0;
      bool patch = false;
      for (; i < uses.size() && uses[i].place() == chunk.place(); ++i) {
        const std::uint64_t begin = std::max<std::uint64_t>(end, uses[i].offset);
        end = std::max<std::uint64_t>(end, std::uint64_t{uses[i].offset} + uses[i].length);
        covered += end - std::min(begin, end);
        patch = patch || uses[i].patch;
      }
      if (needed_[chunk.pack].contains(chunk.number)) continue;
      fresh[chunk.pack].push_back(chunk.number);
      new_raw += covered;
      (patch ? needed.patches : needed.filler) += chunk.raw_size - covered;
      add_chunk(chunk, needed);
    }
    for (auto& [pack, numbers] : fresh) needed_[pack].add(ChunkNumbers(std::move(numbers)));
    for (const format::DerivedPiece& each : manifest.derived) {
      derived += manifest.storages[each.storage].pieces[each.piece].length;
    }
    needed.raw += raw;
    needed.derived += derived;
    needed.shared += raw - new_raw - derived;
  }

  void add_chunk(const ChunkUse& chunk, NeededBytes& needed) const {
    ++needed.chunks;
    const auto stored = stored_size(chunk);
    if (!stored) {
      needed.missing += chunk.raw_size;
      return;
    }
    needed.stored += *stored;
    needed.compressed += chunk.raw_size - *stored;
  }

  std::optional<std::uint32_t> stored_size(const ChunkUse& chunk) const {
    const auto pack = snapshot_.packs.find(chunk.pack);
    if (pack == snapshot_.packs.end() || !pack->second.readable) return std::nullopt;
    const auto& chunks = pack->second.chunks;
    const auto found = std::lower_bound(
        chunks.begin(), chunks.end(), chunk.number,
        [](const StoredChunk& one, std::uint32_t number) { return one.number < number; });
    if (found == chunks.end() || found->number != chunk.number) return std::nullopt;
    // Stored bytes are never more than raw ones, unless reference and table disagree: damage.
    if (found->stored_size > chunk.raw_size) return std::nullopt;
    return found->stored_size;
  }

  const PlannedRewrite* rewrite_of(const Uuid& uuid) const {
    for (const PlannedRewrite& rewrite : collection_.rewrites) {
      if (rewrite.pack == uuid) return &rewrite;
    }
    return nullptr;
  }

  void count_pack(const Uuid& uuid, const PackFacts& pack) {
    DiskBytes& disk = stats_.runs[pack.run].disk;
    const bool in_trash = pack.file.name.in_trash();
    const bool live = pack.file.name.state == PackState::live;
    if (collection_.doomed.contains(uuid)) {
      disk.garbage += pack.size;
    } else if (!pack.readable) {
      disk.unreadable += pack.size;
      if (!live && !is_unreachable(uuid)) add_retired_unread(pack);
    } else if (!live && !needed_.contains(uuid) && rewrite_of(uuid) == nullptr) {
      (in_trash ? disk.trash : disk.dead) += pack.size;  // the whole file stays
    } else {
      split_pack(uuid, pack, disk);
    }
  }

  void add_retired_unread(const PackFacts& pack) {
    try {
      open_pack(core_.fs(), pack.file.path);
      add_unread(pack, ErrorCode::corrupt,
                 fmt::format("{}: not the pack that its name says", pack.file.path.string()));
    } catch (const Error& error) {
      if (error.code() == ErrorCode::not_found) throw;
      add_unread(pack, error.code(), error.what());
    }
  }

  void split_pack(const Uuid& uuid, const PackFacts& pack, DiskBytes& disk) const {
    const PlannedRewrite* const rewrite = rewrite_of(uuid);
    const std::uint64_t size = rewrite == nullptr ? pack.size : rewrite->bytes_after;
    disk.garbage += pack.size - size;
    const auto needed = needed_.find(uuid);
    std::uint64_t payload = 0, dead = 0, records = 1;  // the chunk table's
    for (const StoredChunk& chunk : pack.chunks) {
      if (rewrite != nullptr && !rewrite->needed.contains(chunk.number)) continue;
      ++records;
      const bool is_needed = needed != needed_.end() && needed->second.contains(chunk.number);
      (is_needed ? payload : dead) += chunk.stored_size;
    }
    // A rewrite leaves no manifest.
    const std::uint64_t manifests = rewrite == nullptr ? pack.manifest_bytes : 0;
    if (rewrite == nullptr) records += pack.manifest_copies;
    const std::uint64_t headers = format::PackHeader::size + format::PackTrailer::size +
                                  records * format::RecordHeader::size +
                                  (records - 1) * format::TableEntry::size;
    disk.payload += payload;
    (pack.file.name.in_trash() ? disk.trash : disk.dead) += dead;
    disk.manifests += manifests;
    disk.headers += headers;
    disk.padding += size - payload - dead - manifests - headers;
  }

  // What is in a run's directory besides packs.
  void count_other_files(std::size_t run) {
    const RunDirectory& directory = snapshot_.runs[run].directory;
    DiskBytes& disk = stats_.runs[run].disk;
    for (const std::string& name : directory.names) {
      const auto path = directory.path / name;
      const auto pack = parse_pack_name(name);
      if (pack) {
        const auto known = snapshot_.packs.find(pack->uuid);
        if (known != snapshot_.packs.end() && known->second.file.path == path) continue;
      }
      const auto loose = std::find_if(snapshot_.loose.begin(), snapshot_.loose.end(),
                                      [&](const LooseFile& file) { return file.path == path; });
      if (loose != snapshot_.loose.end()) {
        (loose->held ? disk.in_progress : disk.garbage) += loose->size;
      } else {
        const std::uint64_t size = file_bytes(core_.fs(), path, 0);
        (parse_journal_name(name) ? disk.journals : disk.other) += size;
      }
    }
  }

  void count_beside_runs() {
    FileSystem& fs = core_.fs();
    const StoreLayout& layout = core_.layout();
    for (const std::string& name : fs.list(layout.root)) {
      const auto path = layout.root / name;
      if (path == layout.runs()) continue;
      if (path == layout.index()) {
        stats_.index += file_bytes(fs, path, 1);
      } else if (path == layout.set_aside()) {
        stats_.set_aside += file_bytes(fs, path, deepest_set_aside);
      } else {
        stats_.disk.other += file_bytes(fs, path, 0);
      }
    }
    for (const auto& path : snapshot_.dead_directories) {
      stats_.disk.garbage += file_bytes(fs, path, 1);
    }
    for (const std::string& name : list_runs(fs, layout)) {
      stats_.disk.other += file_bytes(fs, layout.run(name), 0);
    }
  }

  StoreCore& core_;
  const Snapshot& snapshot_;
  const Collection& collection_;
  std::map<Uuid, ChunkNumbers> needed_;  // by live checkpoints, in each pack
  StoreStats stats_;
};

}  // namespace

NeededBytes& NeededBytes::operator+=(const NeededBytes& from) {
  checkpoints += from.checkpoints;
  raw += from.raw;
  shared += from.shared;
  derived += from.derived;
  chunks += from.chunks;
  filler += from.filler;
  patches += from.patches;
  compressed += from.compressed;
  missing += from.missing;
  stored += from.stored;
  return *this;
}

std::uint64_t DiskBytes::total() const {
  return payload + manifests + headers + padding + journals + garbage + trash + dead + in_progress +
         unreadable + other;
}

DiskBytes& DiskBytes::operator+=(const DiskBytes& from) {
  payload += from.payload;
  manifests += from.manifests;
  headers += from.headers;
  padding += from.padding;
  journals += from.journals;
  garbage += from.garbage;
  trash += from.trash;
  dead += from.dead;
  in_progress += from.in_progress;
  unreadable += from.unreadable;
  other += from.other;
  return *this;
}

StoreStats take_stats(StoreCore& core, double waste_threshold) {
  constexpr int most_attempts = 5;
  PackCache cache;
  for (int attempt = 1;; ++attempt) {
    try {
      const Snapshot snapshot = take_snapshot(core, cache);
      const Collection collection = plan_collection(snapshot, {}, waste_threshold);
      return StatsTaker(core, snapshot, collection).run();
    } catch (const Error& error) {
      // Pruned between the listing and the reading.
      if (error.code() != ErrorCode::not_found || attempt == most_attempts) throw;
    }
  }
}

}  // namespace ckp
