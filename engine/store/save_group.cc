#include "store/save_group.h"

#include <algorithm>
#include <chrono>

#include "ckp/error.h"
#include "store/live_chunks.h"
#include "store/pack_in_the_making.h"

namespace ckp {
namespace {

using SteadyClock = std::chrono::steady_clock;

std::int64_t nanoseconds_since(SteadyClock::time_point since) {
  return std::chrono::nanoseconds(SteadyClock::now() - since).count();
}

CheckpointRecord record_of(const PlannedSave& save) {
  CheckpointRecord record;
  record.epoch = save.options.epoch;
  record.step = save.options.step;
  record.metrics = save.options.metrics;
  record.tags = save.options.tags;
  record.final = save.options.final;
  record.created_ns = save.now_ns;
  record.writer = "ckpstore " CKP_VERSION;
  return record;
}

void fill_in(SaveReport& report, const WrittenState& written) {
  report.chunks_written = written.chunks_written;
  report.patches_written = written.patches_written;
  report.differences_written = written.differences_written;
  report.chunks_derived = written.chunks_derived;
  report.chunks_shared = written.chunks_shared;
  report.bytes_shared = written.bytes_shared;
  report.hash_ns = written.hash_ns;
  report.encode_ns = written.encode_ns;
  report.write_ns = written.write_ns;
}

CommittedState::Chunks chunks_by_place(const std::vector<Digest>& places,
                                       std::vector<CommittedChunk> chunks, const Uuid& pack) {
  CommittedState::Chunks by_place(chunks.size());
  const auto name_pack = [&](format::ChunkReference& reference) {
    if (reference.address.pack.is_nil()) reference.address.pack = pack;
  };
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    if (!chunks[i].derived) name_pack(chunks[i].reference);
    if (chunks[i].patched) name_pack(chunks[i].patched->patches.back());
    for (CommittedDifference& each : chunks[i].differences) name_pack(each.reference);
    by_place.emplace(places[i], std::move(chunks[i]));
  }
  return by_place;
}

class SaveGroup {
 public:
  SaveGroup(Run::Impl& run, std::span<SaveJob> jobs) : run_(run), previous_(run.last_committed()) {
    members_.reserve(jobs.size());
    for (SaveJob& job : jobs) members_.push_back({job, nullptr, {}});
  }

  void carry_out() {
    heed_policy();
    for_each_sound([&](Member& member) { write(member); });
    finish();
    commit();
    remember();
  }

 private:
  struct Member {
    SaveJob& job;
    std::unique_ptr<PackInTheMaking> pack;
    std::vector<CommittedChunk> chunks;
  };

  // What `step` throws is that save's error.
  template <typename Step>
  void for_each_sound(const Step& step) {
    for (Member& member : members_) {
      if (member.job.error) continue;
      try {
        step(member);
      } catch (...) {
        member.job.error = std::current_exception();
        member.pack.reset();  // its space may be what the others need
      }
    }
  }

  // Differences would keep what the store's policy gives up.
  void heed_policy() {
    const bool is_followed = run_.policy.is_followed();
    for (Member& member : members_) {
      SaveOptions& options = member.job.planned->options;
      member.job.save->report.policy_problem = run_.policy.problem();
      if (options.apply_policy && is_followed) options.encode.differences = false;
    }
  }

  // S1 to S3.
  void write(Member& member) {
    PlannedSave& save = *member.job.planned;
    SaveReport& report = member.job.save->report;
    report.queue_ns = nanoseconds_since(member.job.queued);
    const std::uint64_t size =
        changed_size(save.layout, save.compared.unchanged) + total_size(save.artifacts);
    member.pack = std::make_unique<PackInTheMaking>(*run_.core, run_.record.directory,
                                                    size >= PackInTheMaking::large_pack);
    LiveChunks live(*run_.core, run_.record.directory,
                    previous_ ? previous_->checkpoint.get() : nullptr,
                    save.base ? save.base->checkpoint.get() : nullptr);  // S2, after S1
    WrittenState written;
    try {
      written = write_layout(std::move(save.layout), save.compared, std::move(save.values),
                             member.pack->writer(), &live, save.options.encode);  // S3
    } catch (const Error& error) {
      if (error.code() == ErrorCode::corrupt) distrust(save.base);
      throw;
    }
    write_artifacts(save.artifacts, written, member.pack->writer(), &live, save.options.encode);
    fill_in(report, written);
    CheckpointRecord record = run_.of_this_attempt(record_of(save));
    record.nonfinite = written.nonfinite;
    member.pack->describe(std::move(written.manifest), std::move(record), live.packs());
    member.chunks = std::move(written.chunks);
  }

  // What is stored cannot be trusted: the next save is compared with nothing, also when saves that
  // have been compared with `base` are committed before it.
  void distrust(const std::shared_ptr<const CommittedState>& base) {
    run_.distrusted = base;
    if (!previous_) return;
    run_.saw_committed(
        std::make_shared<const CommittedState>(CommittedState{previous_->checkpoint, {}}));
  }

  // The journals of what the manifests promise, the rest of the packs, and S4.
  void finish() {
    const auto start = SteadyClock::now();
    const bool all_failed = std::all_of(members_.begin(), members_.end(),
                                        [](const Member& one) { return bool(one.job.error); });
    if (all_failed) return;
    const JournalMark journal = run_.sync_journal();
    for_each_sound([&](Member& member) { member.pack->finish(journal); });
    for_each_sound([&](Member& member) {
      member.pack->sync();
      member.job.save->report.sync_ns = nanoseconds_since(start);
    });
  }

  void commit() {
    const auto start = SteadyClock::now();
    std::vector<Member*> committing;
    std::vector<Commit> commits;
    for_each_sound([&](Member& member) {
      committing.reserve(members_.size());
      commits.push_back(member.pack->commit());
      committing.push_back(&member);
    });
    commit_packs(*run_.core, run_.last_commit, commits);
    for (std::size_t i = 0; i < commits.size(); ++i) {
      SaveJob& job = committing[i]->job;
      job.error = commits[i].error;
      if (job.error) continue;
      SaveReport& report = job.save->report;
      report.bytes_written = commits[i].record.file_size;
      report.checkpoint = std::move(commits[i].record);
      report.path = std::move(commits[i].path);
      report.commit_ns = nanoseconds_since(start);
      run_.saw_commit(report.checkpoint.commit);
      newest_ = committing[i];
      // No rule keeps one that was saved inside a step: it stays until somebody has looked.
      if (job.planned->options.apply_policy && !report.checkpoint.mid_step()) run_.policy.saved();
    }
  }

  // The next saves are compared with the last of these.
  void remember() {
    if (newest_ == nullptr) return;
    const CheckpointRecord& record = newest_->job.save->report.checkpoint;
    const PlannedSave& save = *newest_->job.planned;
    const bool is_trusted = !save.base || save.base != run_.distrusted;
    run_.remember(record, is_trusted
                              ? chunks_by_place(save.places, std::move(newest_->chunks), record.id)
                              : CommittedState::Chunks{});
  }

  Run::Impl& run_;
  const std::shared_ptr<const CommittedState> previous_;
  std::vector<Member> members_;
  Member* newest_ = nullptr;  // of those that were committed
};

}  // namespace

void carry_out_saves(Run::Impl& run, std::span<SaveJob> jobs) noexcept {
  try {
    SaveGroup(run, jobs).carry_out();
  } catch (...) {
    for (SaveJob& job : jobs) {
      const bool is_committed = !job.save->report.checkpoint.id.is_nil();
      if (!job.error && !is_committed) job.error = std::current_exception();
    }
  }
}

}  // namespace ckp
