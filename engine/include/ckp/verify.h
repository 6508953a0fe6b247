// Checking what is on disk.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "ckp/records.h"

namespace ckp {

class Checkpoint;

enum class VerifyLevel {
  structure,  // headers, trailers, chunk tables, manifests, journals, the index, that every
              // reference has a target, that every chunk's header agrees with the table
  stored,     // and the checksum of every stored byte
  full,       // and decodes every chunk and checks its raw digest
};

// One piece of damage. Empty fields do not apply.
struct Finding {
  std::string path;        // file
  std::string run;         // name
  std::string checkpoint;  // id, 32 hex digits
  std::int64_t epoch = -1, step = -1;
  std::string tensor;              // the first tensor that is hit
  std::uint64_t more_tensors = 0;  // how many others the same chunk hits in this checkpoint
  std::int64_t chunk = -1;
  std::int64_t offset = -1;             // in the file
  std::uint64_t other_checkpoints = 0;  // further live checkpoints that use this chunk
  bool index = false;                   // of the index alone: making it anew is the cure
  bool alias = false;   // of an alias that points at nothing: to point it elsewhere is the cure
  std::string message;  // what was expected and what was found
};

struct VerifyProgress {
  std::uint64_t bytes_done = 0, bytes_total = 0;
};

struct VerifyOptions {
  VerifyLevel level = VerifyLevel::stored;
  unsigned threads = 0;  // 0: one per core, at most 8
  // Of the chunks' stored bytes only this share is read; structure is always checked in full. Which
  // share depends on `seed` and on the chunks alone: with shares of 1/n, n consecutive seeds cover
  // every chunk.
  double subset = 1.0;
  std::uint64_t seed = 0;
  // Stops after this long with `complete = false`; zero: never.
  std::chrono::milliseconds max_duration{0};
  // Called from one thread at a time, a few times a second.
  std::function<void(const VerifyProgress&)> progress = {};
  // Polled from one thread at a time, not always the same; true stops early, and the report says
  // `complete = false`.
  std::function<bool()> cancelled = {};
};

struct VerifyReport {
  std::vector<Finding> findings;
  std::vector<std::string>
      notes;  // no damage, but worth a line: garbage of dead saves, torn journal tails
  std::vector<std::string> newer;   // files that a newer version wrote; they were not checked
  std::vector<std::string> denied;  // files that this user may not read; they were not checked
  std::uint64_t runs = 0, checkpoints = 0, packs = 0, chunks = 0;
  // Of the packs' bytes; with a subset, of the share that was asked for.
  std::uint64_t bytes = 0, bytes_total = 0;
  bool complete = true;
  bool timed_out = false;  // max_duration is why it is not complete
  bool clean() const { return findings.empty() && newer.empty() && denied.empty() && complete; }
};

// Checks one `.ckp` file by itself: everything in it, not what it refers to in other packs.
VerifyReport verify_file(const std::string& path, const VerifyOptions& options = {});

// Every stored byte that one open checkpoint needs, in whichever pack. Throws Error(corrupt) naming
// file, chunk and offset.
void check_stored_bytes(const Checkpoint& checkpoint);

}  // namespace ckp
