// What repair finds: every pack whose file is not what it should be, with all that can be read of
// it, and every chunk that a live checkpoint needs and nobody has.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "check/pack_check.h"
#include "check/put_back.h"
#include "ckp/repair.h"
#include "load/open_pack.h"
#include "retention/snapshot.h"
#include "store/store_core.h"

namespace ckp {

// An undamaged stored chunk.
struct ChunkSource {
  std::shared_ptr<const OpenPack> pack;
  format::TableEntry entry;
};

struct Patient {
  const PackFacts* facts = nullptr;         // nothing: the pack has no file
  std::shared_ptr<const OpenPack> content;  // nothing: no record of this pack can be read
  std::optional<format::Manifest> manifest;
  std::set<std::uint32_t> bad;        // chunks that are listed, and damaged
  std::vector<std::string> messages;  // what is wrong
  // Chunks that are not in `content`, from identical ones elsewhere.
  std::map<std::uint32_t, ChunkSource> twins;
  std::vector<Uuid> users;  // live checkpoints that lack chunks of it
  bool has(const format::ChunkReference& reference) const;
};

// A pack that cannot be opened now.
struct UnreadableFile {
  std::string path, why;
  bool damage = true;  // false: this user may not read it
};

struct Survey {
  Snapshot snapshot;
  PackCache cache;
  PutBacks put_backs;  // with moves among them nothing else was looked for
  std::map<Uuid, Patient> patients;
  // Chunks that live checkpoints refer to, and of which no undamaged copy is in the store.
  std::set<format::ChunkAddress> lost;
  std::vector<std::filesystem::path> misplaced;  // whole packs of other runs
  std::vector<UnreadableFile> unreadable;
  bool complete = true;
};

// Reads every stored byte (as `options.level` says) when every file is where it belongs. Changes
// nothing. Error(newer_format) when a pack is of a newer version: what it needs is unknown.
Survey survey(StoreCore& core, const RepairOptions& options);

// The manifest of a live checkpoint: the patient's, or from its file. Nothing when it is
// unreadable.
std::optional<format::Manifest> manifest_of(StoreCore& core, const Survey& found,
                                            const PackFacts& pack);

}  // namespace ckp
