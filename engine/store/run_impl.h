// The inside of ckp::Run, and the ways to get one (spec/commit.md, A1 to A4).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ckp/address.h"
#include "ckp/run.h"
#include "load/open_pack.h"
#include "runs/journal.h"
#include "store/run_scan.h"
#include "store/store_core.h"

namespace ckp {

struct Run::Impl {
  std::shared_ptr<StoreCore> core;
  RunRecord record;
  Attempt attempt;
  std::unique_ptr<JournalWriter> journal;
  std::optional<Checkpoint> continued_from;
  std::vector<std::string> skipped;
  // The last committed checkpoint of this attempt, or the one it continued from: chunks of it may
  // be shared while it is live.
  std::shared_ptr<const Checkpoint::Parts> previous;
  std::uint64_t last_commit = 0;  // the last number this process has seen
  std::uint32_t creator_pid = 0;

  void check_owner() const;
  // Makes the journal durable. One whose fsync has failed can never be trusted again: the attempt
  // goes on in a new one.
  void sync_journal();
  // Another journal for this attempt, with what each begins with; not yet synced.
  std::unique_ptr<JournalWriter> begin_journal() const;
  SaveReport save(const StateDict& state, const SaveOptions& options);
  // Takes over a checkpoint from elsewhere: its stored chunks as they are, its facts but for those
  // of run and attempt.
  SaveReport adopt(const Checkpoint& checkpoint);
  void log(std::int64_t epoch, std::int64_t step, const std::map<std::string, double>& metrics);
  void finish(RunStatus status);
};

// A1.
std::unique_ptr<Run::Impl> create_run(std::shared_ptr<StoreCore> core, const RunOptions& options);
// A2 to A4.
std::unique_ptr<Run::Impl> resume_run(std::shared_ptr<StoreCore> core, std::string_view name_or_id,
                                      const std::optional<Address>& from);

// Opens a checkpoint and every pack it refers to. Error(not_found) when it is no longer live.
std::shared_ptr<const Checkpoint::Parts> open_checkpoint_parts(StoreCore& core,
                                                               const std::string& directory,
                                                               const CheckpointRecord& checkpoint);

// An error for a run that is not there, with the nearest names.
Error no_such_run(StoreCore& core, std::string_view name_or_id);

}  // namespace ckp
