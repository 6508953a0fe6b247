// Everything a store has on disk at one moment, as retiring and collecting need to know it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ckp/records.h"
#include "retention/chunk_numbers.h"
#include "store/run_scan.h"
#include "store/store_core.h"

namespace ckp {

struct StoredChunk {
  std::uint32_t number = 0;
  std::uint32_t stored_size = 0;
};

// A live or retired pack.
struct PackFacts {
  ScannedPack file;
  std::uint64_t size = 0;
  std::size_t run = 0;                 // index into Snapshot::runs
  bool readable = false;               // its manifest is, or it is retired and has none
  bool newer = false;                  // not readable, as a newer version has written it
  std::map<Uuid, ChunkNumbers> needs;  // in other packs, by its manifest
  CheckpointRecord record;             // when readable and with a manifest
  std::vector<StoredChunk> chunks;     // by number
  std::uint8_t alignment_log2 = 0;
  std::uint64_t manifest_bytes = 0;   // stored, of all copies
  std::uint64_t manifest_copies = 0;  // of all manifests
  bool rewritable = false;            // it carries nothing of which this version does not know
};

// A file that no checkpoint is: a temporary pack, or one already dead.
struct LooseFile {
  std::filesystem::path path;
  std::uint64_t size = 0;
  bool held = false;        // by a save in progress
  std::uint64_t began = 0;  // of a temporary pack
};

// A live or retired pack that its directory lists, and that is not there: a symbolic link whose
// target is gone. Unless another file is the same pack, `packs` has it, too, as unreadable.
struct UnreachableFile {
  PackFacts facts;
  std::string what_is_wrong() const;
};

struct RunFacts {
  RunDirectory directory;
  std::optional<RunRecord> record;
  std::vector<CheckpointRecord> checkpoints;  // live and readable, in commit order
};

// Whether a temporary pack belongs to a save in progress: as long as its lock is held. To be asked
// under the store's lock.
bool is_held(FileSystem& fs, const std::filesystem::path& path);

// Manifests never change, so what was read outside the store's lock is right under it, too. Only a
// rewrite changes a pack's file, and makes it smaller.
using PackCache = std::map<Uuid, PackFacts>;

struct Snapshot {
  std::vector<RunFacts> runs;
  std::map<Uuid, PackFacts> packs;
  std::vector<LooseFile> loose;
  std::vector<std::filesystem::path> repeated;  // further files of a pack: copied by other hands
  std::vector<UnreachableFile> unreachable;
  std::vector<std::string> unreachable_runs;            // directories below runs/ that lead nowhere
  std::vector<std::filesystem::path> dead_directories;  // ".dead" and ".new" below runs/

  // The smallest number at which a save still in progress registered.
  std::optional<std::uint64_t> oldest_save() const;
};

// Lists every directory anew; reads only manifests that `cache` lacks, and adds them to it. Only
// under the store's lock is the answer exact.
Snapshot take_snapshot(StoreCore& core, PackCache& cache);

}  // namespace ckp
