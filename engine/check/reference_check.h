// Checking that every reference of a live checkpoint finds its chunk.
#pragma once

#include <map>
#include <mutex>
#include <vector>

#include "ckp/verify.h"
#include "retention/snapshot.h"
#include "store/store_core.h"

namespace ckp {

// What packs say that they hold; files are opened when they are first asked about, and closed at
// once. Thread-safe.
class KnownChunks {
 public:
  explicit KnownChunks(StoreCore& core) : core_(core) {}
  enum class Answer {
    there,
    missing,       // the pack has no such chunk
    pack_missing,  // there is no such pack
    // The pack cannot be read, or may be in a run that cannot be reached: that is told elsewhere.
    unknown,
  };
  // `directory`: the run directory where the pack is looked for first.
  Answer find(const std::string& directory, const format::ChunkReference& reference);

 private:
  struct Pack {
    Answer answer = Answer::unknown;        // unless it could be read
    std::vector<format::TableEntry> table;  // by number
  };
  const Pack& pack(const std::string& directory, const Uuid& uuid);

  StoreCore& core_;
  std::mutex mutex_;
  std::map<Uuid, Pack> packs_;
};

// One finding for each checkpoint, live or in the trash, that lacks chunks of other packs.
std::vector<Finding> check_references(StoreCore& core, const Snapshot& snapshot, unsigned threads);

}  // namespace ckp
