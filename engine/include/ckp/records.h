// What a store knows about its runs and checkpoints: plain values, safe to keep and copy.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ckp/digest.h"
#include "ckp/later_fact.h"
#include "ckp/uuid.h"
#include "ckp/value.h"

namespace ckp {

// Which way a metric improves. Declared by the trainer; never guessed.
enum class Better { lower, higher };

enum class RunStatus {
  in_progress,  // a process holds the run
  completed,    // the trainer said so
  failed,       // the trainer said so
  interrupted,  // the process is gone without having said anything
};
std::string_view to_string(RunStatus status);

// One start or resume of a run.
struct Attempt {
  std::uint32_t number = 0;            // 1, 2, 3, ... in the order they were opened
  std::optional<Uuid> continued_from;  // the checkpoint it resumed
  std::int64_t started_ns = 0;         // UTC
  std::uint32_t pid = 0;
  std::string host;
  // Where the checkpoint it continued from stands, so that the line is known even after it has been
  // pruned.
  std::uint32_t continued_attempt = 0;
  std::uint64_t continued_commit = 0;
  std::int64_t continued_step = -1;  // -1: not recorded
  // What this attempt recorded of itself; empty: nothing. RunRecord::parameters_in and its siblings
  // say what holds in an attempt.
  Value::Map parameters = {};
  Value::Map environment = {};  // see ckp/environment.h
  Value::Map data = {};         // see ckp/data_set.h
  double devices = 1;           // that it uses at a time, for device hours
  // When it was last known to be alive: its end, or, as far as its journal tells, a sign of life;
  // now for one that lives. 0: not known. Its checkpoints are signs of life, too: see
  // RunHistory::hours.
  std::int64_t last_seen_ns = 0;
  // The same of the attempt before, as this one found it.
  std::int64_t previous_seen_ns = 0;
  friend bool operator==(const Attempt&, const Attempt&) = default;
};

inline constexpr std::uint32_t newest_attempt_number = UINT32_MAX;

// The checkpoint whose weights a run began with (fine-tuning). It may have been pruned since.
struct ParentCheckpoint {
  Uuid checkpoint;
  Uuid run;              // nil: it was a standalone file
  std::string run_name;  // or the file's
  std::int64_t epoch = 0;
  std::int64_t step = 0;
  friend bool operator==(const ParentCheckpoint&, const ParentCheckpoint&) = default;
};

struct RunRecord {
  Uuid id;
  std::string name;        // unique in the store
  std::string directory;   // below runs/
  std::string experiment;  // group; empty for none
  // As the run was created.
  Value::Map parameters;
  Value::Map tags;
  Value::Map environment;
  Value::Map data = {};
  std::map<std::string, Better> directions;  // of the metrics that have one
  std::string best_metric;                 // what `@best` means without a name; empty: not declared
  std::optional<ParentCheckpoint> parent;  // nothing: a training from the beginning
  std::int64_t created_ns = 0;
  // As the journals say. `in_progress` becomes `interrupted` for a reader that finds nobody
  // holding the run: Store::runs() has done that.
  RunStatus status = RunStatus::in_progress;
  std::vector<Attempt> attempts;      // by number
  std::vector<LaterFact> later = {};  // notes on the run, oldest first: see Store::note
  // What holds in an attempt: the last that was recorded up to it, by it or with the run.
  const Value::Map& parameters_in(std::uint32_t attempt = newest_attempt_number) const;
  const Value::Map& environment_in(std::uint32_t attempt = newest_attempt_number) const;
  const Value::Map& data_in(std::uint32_t attempt = newest_attempt_number) const;
  friend bool operator==(const RunRecord&, const RunRecord&) = default;
};

// How far the run's journal had been written when a checkpoint was committed. Loss of bytes below
// the mark is damage; above it, a torn tail.
struct JournalMark {
  Uuid journal;
  std::uint64_t length = 0;
  Digest digest;  // XXH3-128 of the first `length` bytes
  friend bool operator==(const JournalMark&, const JournalMark&) = default;
};

// The tag of a checkpoint that was saved inside a training step, when an exception ended it:
// buffers and random state may be ahead, weights half updated.
inline constexpr std::string_view mid_step_tag = "mid_step";

struct CheckpointRecord {
  Uuid id;   // also the uuid of its pack
  Uuid run;  // nil for a standalone file
  std::string run_name;
  std::uint64_t commit = 0;  // the store's order; 0 for a standalone file
  std::uint32_t attempt = 0;
  std::optional<Uuid> continued_from;     // of that attempt
  std::int64_t epoch = 0;                 // epochs completed
  std::int64_t step = 0;                  // optimizer steps completed
  std::map<std::string, double> metrics;  // NaN and infinities kept, bit exact
  Value::Map tags;
  bool nonfinite = false;          // a checked tensor holds NaN or infinity
  bool final = false;              // saved as the run's end
  std::int64_t created_ns = 0;     // UTC
  std::uint64_t file_size = 0;     // of its pack
  std::uint64_t tensor_bytes = 0;  // raw bytes of its storages
  std::uint64_t tensor_count = 0;
  std::optional<JournalMark> journal;
  std::string writer;  // "ckpstore 0.1.0"
  // What a repair made of the undamaged tensors of this checkpoint, and the names of those that are
  // missing. Such a checkpoint is never on the current line: it is found by its id only.
  std::optional<Uuid> salvaged_from;
  std::vector<std::string> missing;
  // What has been said of it since it was saved, oldest first: see Store::tag. `tags` and `metrics`
  // are as these have left them.
  std::vector<LaterFact> later = {};
  bool mid_step() const { return tags.contains(mid_step_tag); }
  // Whether a resume may take it by itself.
  bool resumable() const { return !nonfinite && !salvaged_from && !mid_step(); }
  // Compares metrics by their bits.
  friend bool operator==(const CheckpointRecord& a, const CheckpointRecord& b);
};

// Times as people read them: "2026-11-23 05:12:04 +01:00" and ISO 8601 UTC
// "2026-11-23T04:12:04.123456Z".
std::string local_time(std::int64_t ns);
std::string iso_time(std::int64_t ns);

// Run names: UTF-8, 1 to 200 bytes, no control characters, no '@'. Throws Error(invalid_argument)
// that says what is wrong.
void check_run_name(std::string_view name);

}  // namespace ckp
