// What a repair will do, decided before anything is touched.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "check/index_check.h"
#include "check/journal_check.h"
#include "check/survey.h"
#include "ckp/repair.h"
#include "store/marks.h"

namespace ckp {

// One pack's file. What it becomes: a new file (`rewrite`), which keeps the old one's place, or a
// retired one (`retire`), or nothing (`remove`). Before that, what can be saved of its checkpoint.
struct PackRepair {
  std::size_t step = 0;             // in the report
  std::optional<ScannedPack> file;  // nothing: there is none
  std::optional<FileStatus> seen;   // of that file when the plan was made
  std::string directory;            // of the run, below runs/
  Uuid uuid;
  bool rewrite = false, retire = false, remove = false;
  // Of the new file.
  format::PackHeader header;
  std::map<std::uint32_t, ChunkSource> chunks;
  std::optional<format::Manifest> manifest;
  // What the index shall say about the new file; nothing when it is retired.
  std::optional<CheckpointRecord> record;
  // A new checkpoint; its manifest's `checkpoint` is made from the record when it is written.
  std::optional<format::Manifest> salvaged_manifest;
  CheckpointRecord salvaged_record;
};

struct JournalMend {
  std::size_t step = 0;
  JournalProblem problem;
  std::optional<FileStatus> seen;  // before it was read; nothing: there was none
  std::string directory;           // of the run, below runs/
  Uuid run;
};

// A checkpoint without a file.
struct LostFile {
  Uuid checkpoint;
  std::string directory;  // of the run, below runs/; it may be gone, too
};

// A file STORE in place of a damaged one.
struct NewIdentity {
  format::StoreIdentity identity;
  std::optional<FileStatus> seen;  // of the damaged one; nothing: there was none
  std::string problem;
};

// The file `marks` anew.
struct MarksMend {
  Marks marks;  // what could be read
  std::optional<FileStatus> seen;
};

// A plain file in the place of the index.
struct IndexObstacle {
  std::filesystem::path path;
  std::optional<FileStatus> seen;
};

struct RepairPlan {
  RepairReport report;
  std::optional<NewIdentity> identity;
  std::optional<MarksMend> marks;
  std::vector<PutBack> moves;  // with these, no packs and journals: those come later
  std::vector<PackRepair> packs;
  std::vector<JournalMend> journals;
  std::vector<LostFile> forgotten;
  std::vector<IndexObstacle> obstacles;
  bool rebuild_index = false;
  bool nothing_to_do() const { return report.steps.empty(); }
};

// `identity`: when the file STORE is damaged.
RepairPlan make_repair_plan(StoreCore& core, const RepairOptions& options,
                            std::optional<NewIdentity> identity);

}  // namespace ckp
