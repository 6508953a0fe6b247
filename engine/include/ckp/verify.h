// Checking what is on disk.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "ckp/records.h"

namespace ckp {

enum class VerifyLevel {
  structure,  // headers, trailers, chunk tables, manifests, journals, that every reference has a
              // target
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
  std::string message;                  // what was expected and what was found
};

struct VerifyProgress {
  std::uint64_t bytes_done = 0, bytes_total = 0;
};

struct VerifyOptions {
  VerifyLevel level = VerifyLevel::stored;
  unsigned threads = 0;
  // Called from one thread at a time, a few times a second.
  std::function<void(const VerifyProgress&)> progress = {};
  // Polled; true stops early, and the report says `complete = false`.
  std::function<bool()> cancelled = {};
};

struct VerifyReport {
  std::vector<Finding> findings;
  std::vector<std::string>
      notes;  // no damage, but worth a line: garbage of dead saves, torn journal tails
  std::uint64_t runs = 0, checkpoints = 0, packs = 0, chunks = 0, bytes = 0;
  bool complete = true;
  bool clean() const { return findings.empty() && complete; }
};

// Checks one `.ckp` file by itself: everything in it, not what it refers to in other packs.
VerifyReport verify_file(const std::string& path, const VerifyOptions& options = {});

}  // namespace ckp
