// The inside of ckp::Run, and the ways to get one (spec/commit.md, A1 to A4).
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "ckp/address.h"
#include "ckp/run.h"
#include "load/open_pack.h"
#include "runs/journal.h"
#include "save/memory_proof.h"
#include "save/snapshot.h"
#include "save/state_writer.h"
#include "store/policy_follower.h"
#include "store/run_scan.h"
#include "store/save_pipeline.h"
#include "store/store_core.h"

namespace ckp {

struct Run::Impl {
  explicit Impl(std::shared_ptr<StoreCore> store);
  // Waits for the saves in flight; see Run about their errors.
  ~Impl();

  const std::shared_ptr<StoreCore> core;
  RunRecord record;
  Attempt attempt;
  // The owner's calls and the background thread meet in the journal, `last_commit` and `committed`;
  // the mutex guards them. Nothing else changes while saves are in flight.
  std::mutex journal_mutex;
  std::unique_ptr<JournalWriter> journal;
  std::optional<Checkpoint> continued_from;
  std::vector<std::string> skipped;
  // The last committed checkpoint of this attempt, or the one it continued from: the next save is
  // compared with it, and may share its chunks while it is live.
  std::shared_ptr<const CommittedState> committed;
  // The background's: a state of which a save has found damaged chunks.
  std::shared_ptr<const CommittedState> distrusted;
  std::uint64_t last_commit = 0;  // the last number this process has seen
  const std::uint32_t creator_pid;
  const Fingerprinter fingerprinter;
  StagingPool staging;
  PolicyFollower policy{*core, record};  // the background's, when nothing is in flight the owner's
  std::unique_ptr<SavePipeline> pipeline;  // the saves in it use everything above
  // Of a lazy save that is being copied; uses everything above, the pipeline too, which belongs to
  // it until it has ended.
  std::unique_ptr<std::thread> copier;

  void check_owner() const;
  // Makes the journal durable, and says what it holds then. One whose fsync has failed can never be
  // trusted again: the attempt goes on in a new one.
  JournalMark sync_journal();
  void saw_commit(std::uint64_t commit);
  // Under journal_mutex. Appends to the journal, or when that fails for good to the next one.
  void append(format::JournalKind kind, Value payload);
  // Under journal_mutex. Goes on in another journal, with what this one has not made durable.
  // Throws Error(io), and goes on all the same, when that cannot be read back.
  void renew_journal();
  // Another journal for this attempt, with what each begins with; not yet synced.
  std::unique_ptr<JournalWriter> begin_journal() const;
  PendingSave save(const StateDict& state, const SaveOptions& options);
  PendingSave save_lazily(const StateDict& state, const SaveOptions& options,
                          std::shared_ptr<PendingSave::State> save);
  // Compares, copies, and hands the rest to the pipeline; or ends the save as skipped. `proof`:
  // that nothing has changed meanwhile, or nothing to check.
  void snapshot_and_start(const StateDict& state, const SaveOptions& options,
                          const std::shared_ptr<PendingSave::State>& save,
                          const MemoryProof* proof = nullptr);
  void wait_for_copier();
  std::unique_ptr<PlannedSave> plan(const StateDict& state, const SaveOptions& options);
  std::shared_ptr<const CommittedState> last_committed();
  void saw_committed(std::shared_ptr<const CommittedState> state);
  // The next save is compared with this checkpoint, and may share its chunks. With nothing when it
  // cannot be opened, pruned already perhaps.
  void remember(const CheckpointRecord& checkpoint, CommittedState::Chunks chunks);
  CheckpointRecord of_this_attempt(CheckpointRecord checkpoint) const;
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
                                      const std::optional<Address>& from,
                                      const AttemptOptions& options);

// Opens a checkpoint and every pack it refers to, but for those that are open already, in `known`.
// Error(not_found) when it is no longer live.
std::shared_ptr<const Checkpoint::Parts> open_checkpoint_parts(StoreCore& core,
                                                               const std::string& directory,
                                                               const CheckpointRecord& checkpoint,
                                                               const PackSet& known = {});

// What has been said of a run, from the index, for the row that is about to take the place of its
// own. False when the index does not list the run, or is not trusted.
bool take_later_facts(StoreCore& core, const StoreLock& lock, RunRecord& run);

// An error for a run that is not there, with the nearest names.
Error no_such_run(StoreCore& core, std::string_view name_or_id);

}  // namespace ckp
