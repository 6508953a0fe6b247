// Where the bytes of a store are.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ckp/error.h"
#include "ckp/uuid.h"

namespace ckp {

// What live checkpoints amount to, and what is stored for them:
//   raw - shared - derived + filler + patches - compressed - missing == stored
struct NeededBytes {
  std::uint64_t checkpoints = 0;
  std::uint64_t raw = 0;  // of all storages of all checkpoints: what loading each of them fills
  // Of raw, what needs no bytes of its own: it lies in a chunk that an earlier checkpoint, or
  // another place of the same one, has paid for.
  std::uint64_t shared = 0;
  // Of raw, what is computed from other tensors of its checkpoint: 16-bit weights that are the
  // rounding of 32-bit ones.
  std::uint64_t derived = 0;
  std::uint64_t chunks = 0;  // different ones
  std::uint64_t filler = 0;  // in chunks, covered by no storage: between small tensors
  // Of chunks that hold changed rows of large storages: the rows, and the lists of them. And chunks
  // that hold differences. They lie on top of chunks, or of older rows and differences, that
  // loading needs all the same.
  std::uint64_t patches = 0;
  std::uint64_t compressed = 0;  // what encoding has saved
  std::uint64_t missing = 0;     // raw, of chunks whose file is not there or cannot be read
  std::uint64_t stored = 0;      // the encoded chunks
  NeededBytes& operator+=(const NeededBytes& from);
};

// Which file bytes are what. Each byte of a file is counted once.
struct DiskBytes {
  std::uint64_t payload = 0;    // encoded chunks that live checkpoints need
  std::uint64_t manifests = 0;  // both copies of each
  std::uint64_t headers = 0;    // of files and records, and chunk tables
  std::uint64_t padding = 0;    // between records
  std::uint64_t journals = 0;
  // What no readable checkpoint needs. `garbage` is what the next prune frees, whatever its rules:
  // files that nothing needs, and what rewriting files without their dead chunks saves.
  // `dead` stays for the present: chunks in files that hold too much else for a rewrite, or which
  // somebody may need who cannot be read or has not finished saving.
  std::uint64_t garbage = 0;
  // What only checkpoints in the trash need, of their own files. What they need of others' is dead.
  std::uint64_t trash = 0;
  std::uint64_t dead = 0;
  std::uint64_t in_progress = 0;  // files of saves that have not finished
  std::uint64_t unreadable = 0;   // files that hold checkpoints or chunks, and cannot be read
  std::uint64_t other = 0;        // anything else
  std::uint64_t total() const;
  DiskBytes& operator+=(const DiskBytes& from);
};

// `needed` counts a chunk for the run whose checkpoint was the first (by commit) of those that
// need it, `disk` for the run in whose directory it lies. That can be another one, when a run
// shares chunks of a checkpoint that was pruned; over all runs, needed.stored == disk.payload.
struct RunStats {
  std::string name;  // or the directory's, of a removed run that holds chunks of others
  std::string directory;
  Uuid id;
  NeededBytes needed;
  DiskBytes disk;
};

// A file or directory that could not be read.
struct UnreadPart {
  std::string path;
  std::string run;  // name or directory
  ErrorCode code = ErrorCode::corrupt;
  std::string message;
};

struct StoreStats {
  std::vector<RunStats> runs;  // by directory
  // Of all runs together; `disk` has the files beside the runs, too, but for these two.
  NeededBytes needed;
  DiskBytes disk;
  std::uint64_t index = 0;      // when it lies in the store
  std::uint64_t set_aside = 0;  // by repairs, for people
  // Their bytes are in `disk.unreadable`. What they need nobody knows: it may be counted as dead.
  std::vector<UnreadPart> unread;
  std::uint64_t total() const { return disk.total() + index + set_aside; }
};

}  // namespace ckp
