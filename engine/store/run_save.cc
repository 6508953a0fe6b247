// How a run's saves are made: snapshot on the caller's thread, the rest in the background.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <set>

#include "ckp/error.h"
#include "convert/copy_chunks.h"
#include "io/durable_file.h"
#include "io/host.h"
#include "runs/record_codec.h"
#include "save/parallel.h"
#include "save/snapshot.h"
#include "store/commit.h"
#include "store/live_chunks.h"
#include "store/run_impl.h"

namespace ckp {
namespace {

constexpr std::uint64_t reserve_step = 64u << 20;

using SteadyClock = std::chrono::steady_clock;

std::int64_t nanoseconds(SteadyClock::duration duration) {
  return std::chrono::nanoseconds(duration).count();
}
std::int64_t elapsed_ns(SteadyClock::time_point since) {
  return nanoseconds(SteadyClock::now() - since);
}

// Asks for the space of a large pack as it grows, so that a full disk is noticed early.
class ReservingSink {
 public:
  ReservingSink(File& file, bool large) : file_(file), appender_(file), large_(large) {}
  void append(std::span<const std::byte> bytes) {
    if (large_ && appender_.offset() + bytes.size() > reserved_) {
      file_.reserve(reserved_, reserve_step);
      reserved_ += reserve_step;
    }
    appender_.append(bytes);
  }
  void finish() {
    appender_.flush();
    if (reserved_ > appender_.offset()) file_.truncate(appender_.offset());  // gives back the rest
  }

 private:
  File& file_;
  FileAppender appender_;
  bool large_;
  std::uint64_t reserved_ = 0;
};

std::vector<Uuid> referred_packs(const format::Manifest& manifest) {
  std::set<Uuid> packs;
  for (const auto& reference : manifest.references) packs.insert(reference.address.pack);
  packs.erase(Uuid{});
  return {packs.begin(), packs.end()};
}

std::vector<ChunkRow> rows_of(const format::PackWriter& writer, const Uuid& pack) {
  std::vector<ChunkRow> rows;
  for (const format::TableEntry& entry : writer.chunks()) {
    if (entry.kind != format::RecordKind::chunk) continue;
    rows.push_back({entry.raw_digest, {pack, entry.number}, entry.raw_size});
  }
  return rows;
}

CheckpointRecord record_of(const SaveOptions& options, std::int64_t now_ns) {
  CheckpointRecord record;
  record.epoch = options.epoch;
  record.step = options.step;
  record.metrics = options.metrics;
  record.tags = options.tags;
  record.final = options.final;
  record.created_ns = now_ns;
  record.writer = "ckpstore " CKP_VERSION;
  return record;
}

// A registered pack being written: S1 to S4 and the commit.
class PackInTheMaking {
 public:
  PackInTheMaking(Run::Impl& run, bool large)
      : run_(run),
        registration_(*run.core, run.record.directory),
        sink_(registration_.file(), large),
        writer_([this](std::span<const std::byte> bytes) { sink_.append(bytes); },
                header_of(registration_)) {}

  format::PackWriter& writer() { return writer_; }

  // Finishes the pack with `manifest` and `record`'s facts, makes it durable and commits it.
  void commit(format::Manifest manifest, CheckpointRecord record, SaveReport& report) {
    const auto sync_start = std::chrono::steady_clock::now();
    record.id = registration_.uuid();
    record.run = run_.record.id;
    record.run_name = run_.record.name;
    record.attempt = run_.attempt.number;
    record.continued_from = run_.attempt.continued_from;
    record.journal = run_.sync_journal();  // what the manifest promises must be there
    manifest.checkpoint = manifest_facts(record);
    writer_.finish(std::span(&manifest, 1));
    sink_.finish();
    registration_.file().sync();  // S4
    report.sync_ns = elapsed_ns(sync_start);

    record.file_size = report.bytes_written = writer_.size();
    record.tensor_count = manifest.tensors.size();
    record.tensor_bytes = 0;
    for (const auto& storage : manifest.storages) record.tensor_bytes += storage.size;
    const auto commit_start = std::chrono::steady_clock::now();
    const CommitResult result =
        commit_pack(*run_.core, registration_,
                    {record, rows_of(writer_, registration_.uuid()), referred_packs(manifest)});
    report.commit_ns = elapsed_ns(commit_start);
    record.commit = result.commit;
    run_.saw_commit(result.commit);
    report.checkpoint = std::move(record);
    report.path = result.path;
  }

 private:
  static format::PackHeader header_of(const Registration& registration) {
    format::PackHeader header;
    header.uuid = registration.uuid();
    header.may_use = format::pack_features;
    return header;
  }

  Run::Impl& run_;
  Registration registration_;  // S1
  ReservingSink sink_;
  format::PackWriter writer_;
};

// What the next save may share chunks with. Nothing when it cannot be opened, pruned already
// perhaps: the next save stores anew.
std::shared_ptr<const CommittedState> reopen(Run::Impl& run, const CheckpointRecord& record,
                                             CommittedState::Chunks chunks) {
  try {
    auto parts = open_checkpoint_parts(*run.core, run.record.directory, record);
    return std::make_shared<const CommittedState>(
        CommittedState{std::move(parts), std::move(chunks)});
  } catch (const Error&) {
    return nullptr;
  }
}

CommittedState::Chunks chunks_by_place(const std::vector<Digest>& places,
                                       std::vector<CommittedChunk> chunks, const Uuid& pack) {
  CommittedState::Chunks by_place(chunks.size());
  const auto name_pack = [&](format::ChunkReference& reference) {
    if (reference.address.pack.is_nil()) reference.address.pack = pack;
  };
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    name_pack(chunks[i].reference);
    if (chunks[i].patched) name_pack(chunks[i].patched->patches.back());
    by_place.emplace(places[i], std::move(chunks[i]));
  }
  return by_place;
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

Run::Impl::Planned Run::Impl::plan(const StateDict& state, const SaveOptions& options) {
  Planned save;
  save.options = options;
  save.now_ns = core->clock().now_ns();
  save.values = state.values();
  save.layout = plan_chunks(state, options.encode.chunk_size);
  save.places = chunk_places(save.layout);
  save.base = last_committed();
  save.compared.fingerprinter = &fingerprinter;
  save.compared.places = save.places;
  if (save.base && !save.base->chunks.empty()) save.compared.committed = &save.base->chunks;
  save.compared.turn = save.base ? save.base->checkpoint->record.commit : 0;
  save.compared.unchanged =
      find_unchanged(save.layout, save.places, save.base ? &save.base->chunks : nullptr,
                     fingerprinter, thread_count(options.encode.threads));
  return save;
}

PendingSave Run::Impl::save(const StateDict& state, const SaveOptions& options) {
  const auto start = SteadyClock::now();
  check_owner();
  if (const auto error = pipeline->take_error()) std::rethrow_exception(error);
  check_options(record, options);
  const auto save = std::make_shared<PendingSave::State>();
  SaveReport& report = save->report;
  const auto end_here = [&] {
    report.stall_ns = elapsed_ns(start);
    save->finish(nullptr);
    return PendingSave(save);
  };
  if (options.snapshot == SnapshotMode::none) {
    pipeline->drain();
    write(plan(state, options), report);
    return end_here();
  }
  const auto planned = std::make_shared<Planned>(plan(state, options));
  report.compare_ns = elapsed_ns(start);
  const std::uint64_t changed = changed_size(planned->layout, planned->compared.unchanged);
  if (!pipeline->wait_for_room(changed, options)) {
    report.skipped = true;
    return end_here();
  }
  const auto snapshot_start = SteadyClock::now();
  planned->copy.emplace(take_snapshot(planned->layout, planned->compared.unchanged, staging,
                                      thread_count(options.encode.threads)));
  const auto snapshot_end = SteadyClock::now();
  report.bytes_copied = changed;
  report.snapshot_ns = nanoseconds(snapshot_end - snapshot_start);
  report.stall_ns = nanoseconds(snapshot_end - start);
  pipeline->start(save, changed, [this, planned, snapshot_end](SaveReport& ended) {
    ended.queue_ns = elapsed_ns(snapshot_end);
    write(std::move(*planned), ended);
  });
  return PendingSave(save);
}

void Run::Impl::write(Planned save, SaveReport& report) {
  const auto previous = last_committed();
  PackInTheMaking pack(*this, changed_size(save.layout, save.compared.unchanged) >= reserve_step);
  LiveChunks live(*core, record.directory, previous ? previous->checkpoint.get() : nullptr,
                  save.base ? save.base->checkpoint.get() : nullptr);  // S2, after S1
  WrittenState written;
  try {
    written = write_layout(std::move(save.layout), save.compared, std::move(save.values),
                           pack.writer(), &live, save.options.encode);  // S3
  } catch (const Error& error) {
    // What is stored cannot be trusted, then: the next save is compared with nothing.
    if (error.code() == ErrorCode::corrupt && previous) {
      saw_committed(
          std::make_shared<const CommittedState>(CommittedState{previous->checkpoint, {}}));
    }
    throw;
  }
  report.chunks_written = written.chunks_written;
  report.patches_written = written.patches_written;
  report.chunks_shared = written.chunks_shared;
  report.bytes_shared = written.bytes_shared;
  report.hash_ns = written.hash_ns;
  report.encode_ns = written.encode_ns;
  report.write_ns = written.write_ns;
  CheckpointRecord saved = record_of(save.options, save.now_ns);
  saved.nonfinite = written.nonfinite;
  pack.commit(std::move(written.manifest), std::move(saved), report);
  saw_committed(
      reopen(*this, report.checkpoint,
             chunks_by_place(save.places, std::move(written.chunks), report.checkpoint.id)));
}

SaveReport Run::Impl::adopt(const Checkpoint& checkpoint) {
  check_owner();
  SaveReport report;
  PackInTheMaking pack(*this, false);
  format::Manifest manifest = copy_chunks(checkpoint.parts(), pack.writer());
  report.chunks_written = pack.writer().chunks().size();
  pack.commit(std::move(manifest), checkpoint.record(), report);
  saw_committed(reopen(*this, report.checkpoint, {}));
  return report;
}

}  // namespace ckp
