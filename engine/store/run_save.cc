// How a run's saves are made: snapshot on the caller's thread, the rest in the background.
#include <fmt/format.h>

#include <chrono>

#include "ckp/error.h"
#include "convert/copy_chunks.h"
#include "save/parallel.h"
#include "save/snapshot.h"
#include "store/pack_in_the_making.h"
#include "store/run_impl.h"
#include "store/save_group.h"

namespace ckp {
namespace {

using SteadyClock = std::chrono::steady_clock;

std::int64_t nanoseconds(SteadyClock::duration duration) {
  return std::chrono::nanoseconds(duration).count();
}
std::int64_t elapsed_ns(SteadyClock::time_point since) {
  return nanoseconds(SteadyClock::now() - since);
}

void check_options(const RunRecord& run, const SaveOptions& options) {
  check_chunk_size(options.encode.chunk_size);
  if (options.epoch >= 0 && options.step >= 0) return;
  throw Error(ErrorCode::invalid_argument,
              fmt::format("run {}: epoch {}, step {}: neither may be negative", run.name,
                          options.epoch, options.step));
}

}  // namespace

std::shared_ptr<const CommittedState> Run::Impl::last_committed() {
  const std::lock_guard lock(journal_mutex);
  return committed;
}

void Run::Impl::saw_committed(std::shared_ptr<const CommittedState> state) {
  const std::lock_guard lock(journal_mutex);
  std::swap(committed, state);
}

std::unique_ptr<PlannedSave> Run::Impl::plan(const StateDict& state, const SaveOptions& options) {
  state.wait_readable();
  auto planned = std::make_unique<PlannedSave>();
  PlannedSave& save = *planned;
  save.options = options;
  save.now_ns = core->clock().now_ns();
  save.values = state.values();
  save.artifacts = capture_artifacts(core->fs(), state, options.artifacts);
  save.layout = plan_chunks(state, options.encode.chunk_size);
  save.places = chunk_places(save.layout);
  save.base = last_committed();
  save.compared.fingerprinter = &fingerprinter;
  save.compared.places = save.places;
  if (save.base && !save.base->chunks.empty()) save.compared.committed = &save.base->chunks;
  save.compared.turn = save.base ? save.base->checkpoint->record.commit : 0;
  save.compared.unchanged =
      find_unchanged(save.layout, save.places, save.base ? &save.base->chunks : nullptr,
                     fingerprinter, thread_count(options.encode.threads, save.layout.raw_size()));
  return planned;
}

PendingSave Run::Impl::save(const StateDict& state, const SaveOptions& options) {
  const auto start = SteadyClock::now();
  check_owner();
  wait_for_copier();
  if (const auto error = pipeline->take_error()) std::rethrow_exception(error);
  check_options(record, options);
  const auto save = std::make_shared<PendingSave::State>();
  if (options.snapshot == SnapshotMode::none) {
    pipeline->drain();
    SaveJob job{save, plan(state, options), 0, start};
    carry_out_saves(*this, std::span(&job, 1));
    if (job.error) std::rethrow_exception(job.error);
    save->report.stall_ns = elapsed_ns(start);
    save->finish(nullptr);
    policy.apply_if_due();
    return PendingSave(save);
  }
  pipeline->announce(save);
  try {
    if (options.snapshot == SnapshotMode::lazy) return save_lazily(state, options, save);
    snapshot_and_start(state, options, save);
  } catch (...) {
    pipeline->withdraw(save);
    throw;
  }
  return PendingSave(save);
}

PendingSave Run::Impl::save_lazily(const StateDict& state, const SaveOptions& options,
                                   std::shared_ptr<PendingSave::State> save) {
  const auto start = SteadyClock::now();
  const auto kept = std::make_shared<const StateDict>(state);
  const auto proof = options.check_unchanged ? std::make_shared<const MemoryProof>(*kept) : nullptr;
  const auto copy = [this, kept, options, save, proof] {
    try {
      snapshot_and_start(*kept, options, save, proof.get());
    } catch (...) {
      save->finish(std::current_exception());
    }
  };
  save->hold_memory();
  save->report.stall_ns = elapsed_ns(start);
  try {
    copier = std::make_unique<std::thread>(copy);
  } catch (const std::system_error&) {
    copy();  // no thread to be had
  }
  return PendingSave(std::move(save));
}

void Run::Impl::snapshot_and_start(const StateDict& state, const SaveOptions& options,
                                   const std::shared_ptr<PendingSave::State>& save,
                                   const MemoryProof* proof) {
  const auto start = SteadyClock::now();
  SaveReport& report = save->report;
  const bool is_waited_for = options.snapshot == SnapshotMode::copied;
  auto planned = plan(state, options);
  report.compare_ns = elapsed_ns(start);
  const std::uint64_t changed = changed_size(planned->layout, planned->compared.unchanged);
  const std::uint64_t held = changed + held_size(planned->artifacts);
  if (!pipeline->wait_for_room(held, options)) {
    report.skipped = true;
    if (is_waited_for) report.stall_ns = elapsed_ns(start);
    return save->finish(nullptr);
  }
  const auto snapshot_start = SteadyClock::now();
  planned->copy.emplace(take_snapshot(planned->layout, planned->compared.unchanged, staging,
                                      thread_count(options.encode.threads, changed)));
  const auto snapshot_end = SteadyClock::now();
  if (proof != nullptr) proof->check(state);
  report.bytes_copied = changed;
  report.snapshot_ns = nanoseconds(snapshot_end - snapshot_start);
  if (is_waited_for) report.stall_ns = nanoseconds(snapshot_end - start);
  save->let_go_of_memory();
  pipeline->start({save, std::move(planned), held, snapshot_end});
}

void Run::Impl::wait_for_copier() {
  if (!copier) return;
  copier->join();
  copier.reset();
}

void Run::Impl::remember(const CheckpointRecord& checkpoint, CommittedState::Chunks chunks) {
  try {
    const auto before = last_committed();
    auto parts = open_checkpoint_parts(*core, record.directory, checkpoint,
                                       before ? before->checkpoint->packs : PackSet{});
    saw_committed(std::make_shared<const CommittedState>(
        CommittedState{std::move(parts), std::move(chunks)}));
  } catch (const Error&) {
    saw_committed(nullptr);
  }
}

CheckpointRecord Run::Impl::of_this_attempt(CheckpointRecord checkpoint) const {
  checkpoint.run = record.id;
  checkpoint.run_name = record.name;
  checkpoint.attempt = attempt.number;
  checkpoint.continued_from = attempt.continued_from;
  return checkpoint;
}

SaveReport Run::Impl::adopt(const Checkpoint& checkpoint) {
  check_owner();
  SaveReport report;
  PackInTheMaking pack(*core, record.directory, false);
  format::Manifest manifest = copy_chunks(checkpoint.parts(), pack.writer());
  report.chunks_written = pack.writer().chunks().size();
  pack.describe(std::move(manifest), of_this_attempt(checkpoint.record()));
  pack.finish(sync_journal());
  pack.sync();
  Commit commit = pack.commit();
  commit_packs(*core, last_commit, std::span(&commit, 1));
  if (commit.error) std::rethrow_exception(commit.error);
  report.bytes_written = commit.record.file_size;
  report.path = std::move(commit.path);
  report.checkpoint = std::move(commit.record);
  saw_commit(report.checkpoint.commit);
  remember(report.checkpoint, {});
  return report;
}

}  // namespace ckp
