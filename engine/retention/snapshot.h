// Everything a store has on disk at one moment, as retiring and collecting need to know it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "ckp/records.h"
#include "store/run_scan.h"
#include "store/store_core.h"

namespace ckp {

// A live or retired pack.
struct PackFacts {
  ScannedPack file;
  std::uint64_t size = 0;
  std::size_t run = 0;      // index into Snapshot::runs
  bool readable = false;    // its manifest is
  std::set<Uuid> needs;     // other packs that its manifest refers to
  CheckpointRecord record;  // when readable
};

// A file that no checkpoint is: a temporary pack, or one already dead.
struct LooseFile {
  std::filesystem::path path;
  std::uint64_t size = 0;
  bool held = false;        // by a save in progress
  std::uint64_t began = 0;  // of a temporary pack
};

struct RunFacts {
  RunDirectory directory;
  std::optional<RunRecord> record;
  std::vector<CheckpointRecord> checkpoints;  // live and readable, in commit order
};

// Manifests never change, so what was read outside the store's lock is right under it, too.
using PackCache = std::map<Uuid, PackFacts>;

struct Snapshot {
  std::vector<RunFacts> runs;
  std::map<Uuid, PackFacts> packs;
  std::vector<LooseFile> loose;
  std::vector<std::filesystem::path> repeated;  // further files of a pack: copied by other hands
  std::vector<std::filesystem::path> dead_directories;  // ".dead" and ".new" below runs/

  // The smallest number at which a save still in progress registered.
  std::optional<std::uint64_t> oldest_save() const;
};

// Lists every directory anew; reads only manifests that `cache` lacks, and adds them to it. Only
// under the store's lock is the answer exact.
Snapshot take_snapshot(StoreCore& core, PackCache& cache);

}  // namespace ckp
