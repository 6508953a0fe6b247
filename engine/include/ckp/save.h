// Saving: options, the handle of a save, and the single-file form.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ckp/file_system.h"
#include "ckp/format/codec.h"
#include "ckp/records.h"
#include "ckp/state_dict.h"

namespace ckp {

// How bytes are made into chunks. The defaults are right for almost everybody.
struct EncodeOptions {
  format::Compression compression = format::Compression::balanced;
  // Whether a Run may store what has changed as differences to its last checkpoint, where these are
  // clearly smaller: at most two on top of each other, then everything again. Such a checkpoint
  // keeps chunks of up to two older ones on the disk, also when those are pruned: false where only
  // the last few are kept. Only by the process that saved the checkpoint before.
  bool differences = true;
  std::uint32_t chunk_size = 1u << 20;  // raw bytes; a multiple of 4096, at most 64 MiB
  unsigned threads = 0;                 // 0: one per core, at most 8
};

// When the memory of the state is the caller's again. save_file always works as `none`.
enum class SnapshotMode {
  // When save returns: what it needs has been copied. The rest of the work is done by a background
  // thread of the Run.
  copied,
  // When save returns, too, but then the checkpoint is durable: everything is done on the caller's
  // thread, and nothing is copied. At most 128 MB of extra memory.
  none,
  // When PendingSave::wait_copied has returned: save itself returns at once, and the comparing and
  // copying go on while the caller does what only reads the state, such as the next forward and
  // backward pass. Call wait_copied before the optimizer's step. What changes before that makes a
  // checkpoint that no moment of the training ever had. Objects that own the memory
  // (TensorView::owner) are kept alive; other memory must stay where it is.
  lazy,
};

// What a save does while earlier ones have not left it enough memory (StoreOptions::save_memory).
enum class WhenBusy {
  wait,  // until there is enough, or `busy_timeout_ms` have passed: then it is skipped
  skip,  // at once
};

// A file to be saved with a state, and to be had back from its checkpoint (artifacts.h).
struct ArtifactFile {
  std::string name;  // in the checkpoint: see check_artifact_name
  std::filesystem::path path;
};

struct SaveOptions {
  std::int64_t epoch = 0;  // epochs completed
  std::int64_t step = 0;   // optimizer steps completed
  std::map<std::string, double> metrics = {};
  Value::Map tags = {};
  bool final = false;  // the end of the run
  // Stored once for all checkpoints of a store in which their bytes are the same. They are no part
  // of the state: a restore leaves them alone. One up to 16 MiB may change again when the memory of
  // the state may (SnapshotMode); a larger one, which is read a piece at a time, once the save is
  // through: one that changed before makes it fail.
  std::vector<ArtifactFile> artifacts = {};
  EncodeOptions encode = {};
  SnapshotMode snapshot = SnapshotMode::copied;
  // Of a lazy save, to find out who changes the state while it is copied: hashes all of it before
  // save returns, and again when the copy has been made. Where they differ the save fails with
  // Error(invalid_argument), which names the tensors.
  bool check_unchanged = false;
  WhenBusy when_busy = WhenBusy::wait;
  std::int64_t busy_timeout_ms = -1;  // negative: no limit
  // Of a Run: to its checkpoints, when this save has ended, on the thread that has made it, and
  // before the next; then a save stores no differences. Only if the store keeps a policy
  // (Store::set_policy). False where the caller prunes by rules of its own.
  bool apply_policy = true;
};

// What a finished save did. Times of stages that overlap on several threads are those of the clock
// on the wall, and do not add up to the whole.
struct SaveReport {
  CheckpointRecord checkpoint;
  std::filesystem::path path;
  bool skipped = false;  // by WhenBusy: there is no checkpoint, and all else is zero
  std::uint64_t chunks_written = 0;
  std::uint64_t patches_written = 0;      // of rows that have changed, on chunks that were there
  std::uint64_t differences_written = 0;  // of whole chunks, likewise
  // Not stored, but at level `none`: 16-bit floats that are float32 ones beside them, rounded.
  std::uint64_t chunks_derived = 0;
  std::uint64_t chunks_shared = 0;  // found in the store, or twice in this state
  std::uint64_t bytes_shared = 0;   // raw
  std::uint64_t bytes_written = 0;  // file size
  std::uint64_t bytes_copied = 0;   // by the snapshot: of chunks that have changed
  std::int64_t stall_ns = 0;        // the caller's thread, inside save
  std::int64_t compare_ns = 0;      // looking for what has changed; a part of the stall unless lazy
  std::int64_t snapshot_ns = 0;     // copying that, likewise
  std::int64_t queue_ns = 0;        // between the snapshot and the background thread's turn
  std::int64_t hash_ns = 0, encode_ns = 0, write_ns = 0, sync_ns = 0, commit_ns = 0;
  // Why the store's policy could not be applied after an earlier save: nothing was deleted then.
  std::string policy_problem = {};
};

// The handle of a save. Dropping it changes nothing: the save goes on. Movable; one thread at a
// time, any thread.
class PendingSave {
 public:
  struct State;
  explicit PendingSave(std::shared_ptr<State> state);
  PendingSave(PendingSave&&) noexcept;
  PendingSave& operator=(PendingSave&&) noexcept;
  ~PendingSave();

  // Whether wait() would return, or throw, at once.
  bool done() const;
  // Whether WhenBusy made nothing of this save. Known at once; of a lazy one, after wait_copied.
  bool skipped() const;
  // Waits until the memory of the state is the caller's again (SnapshotMode::lazy; otherwise it
  // is). Throws nothing: also a save that fails lets go of it. In a forked child it returns at
  // once.
  void wait_copied() const noexcept;
  // Waits for the end. Returns the report: the checkpoint is durable, unless the save was skipped.
  // Or throws the error that made the save fail, each time it is called; the Run does not report it
  // again then. The reference is valid as long as the handle. In a forked child a save that had not
  // ended throws Error(invalid_argument).
  const SaveReport& wait();

 private:
  std::shared_ptr<State> state_;
};

// Saves `state` as one standalone file that needs no store. Atomic and durable on return: at any
// moment `path` holds the old complete file or the new one. Throws Error; the old file is intact
// then, and nothing else is left behind.
SaveReport save_file(const std::filesystem::path& path, const StateDict& state,
                     const SaveOptions& options = {},
                     std::shared_ptr<FileSystem> fs = posix_file_system());

}  // namespace ckp
