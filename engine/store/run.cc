// ckp::Run: saving into a run that this process owns.
#include "ckp/run.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <set>

#include "ckp/error.h"
#include "convert/copy_chunks.h"
#include "io/durable_file.h"
#include "io/host.h"
#include "runs/record_codec.h"
#include "store/commit.h"
#include "store/live_chunks.h"
#include "store/run_impl.h"

namespace ckp {
namespace {

constexpr std::uint64_t reserve_step = 64u << 20;

std::int64_t elapsed_ns(std::chrono::steady_clock::time_point since) {
  return std::chrono::nanoseconds(std::chrono::steady_clock::now() - since).count();
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

bool is_large(const StateDict& state) {
  std::uint64_t size = 0;
  for (const auto& [name, tensor] : state.tensors()) size += tensor.storage_size;
  return size >= reserve_step;
}

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
    run_.sync_journal();  // the mark in the manifest promises what the journal holds
    record.id = registration_.uuid();
    record.run = run_.record.id;
    record.run_name = run_.record.name;
    record.attempt = run_.attempt.number;
    record.continued_from = run_.attempt.continued_from;
    record.journal = run_.journal->mark();
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
    record.commit = run_.last_commit = result.commit;
    report.checkpoint = std::move(record);
    report.path = result.path;
  }

 private:
  static format::PackHeader header_of(const Registration& registration) {
    format::PackHeader header;
    header.uuid = registration.uuid();
    header.may_use.refuse = format::feature::external_references;
    return header;
  }

  Run::Impl& run_;
  Registration registration_;  // S1
  ReservingSink sink_;
  format::PackWriter writer_;
};

// What the next save may share chunks with.
std::shared_ptr<const Checkpoint::Parts> reopen(Run::Impl& run, const CheckpointRecord& record) {
  try {
    return open_checkpoint_parts(*run.core, run.record.directory, record);
  } catch (const Error&) {
    return nullptr;  // pruned already: the next save stores anew
  }
}

}  // namespace

void Run::Impl::check_owner() const {
  if (process_id() == creator_pid) return;
  throw Error(ErrorCode::invalid_argument,
              fmt::format("run {}: this process was forked from the one that opened the run; only "
                          "that one can use it",
                          record.name));
}

void Run::Impl::sync_journal() {
  try {
    journal->sync();
  } catch (const Error&) {
    auto next = begin_journal();
    next->sync();
    journal = std::move(next);
  }
}

std::unique_ptr<JournalWriter> Run::Impl::begin_journal() const {
  auto next = std::make_unique<JournalWriter>(core->fs(), core->layout().run(record.directory),
                                              record.id, attempt.number);
  next->append(format::JournalKind::run_created, last_commit, run_created_payload(record));
  next->append(format::JournalKind::attempt_opened, last_commit, attempt_payload(attempt));
  return next;
}

SaveReport Run::Impl::save(const StateDict& state, const SaveOptions& options) {
  check_owner();
  if (options.epoch < 0 || options.step < 0) {
    throw Error(ErrorCode::invalid_argument,
                fmt::format("run {}: epoch {}, step {}: neither may be negative", record.name,
                            options.epoch, options.step));
  }
  SaveReport report;
  PackInTheMaking pack(*this, is_large(state));
  LiveChunks live(*core, record.directory, previous.get());                         // S2, after S1
  WrittenState written = write_state(state, pack.writer(), &live, options.encode);  // S3
  report.chunks_written = written.chunks_written;
  report.chunks_shared = written.chunks_shared;
  report.bytes_shared = written.bytes_shared;
  report.encode_ns = written.encode_ns;
  report.write_ns = written.write_ns;
  CheckpointRecord saved = record_of(options, core->clock().now_ns());
  saved.nonfinite = written.nonfinite;
  pack.commit(std::move(written.manifest), std::move(saved), report);
  previous = reopen(*this, report.checkpoint);
  return report;
}

SaveReport Run::Impl::adopt(const Checkpoint& checkpoint) {
  check_owner();
  SaveReport report;
  PackInTheMaking pack(*this, false);
  format::Manifest manifest = copy_chunks(checkpoint.parts(), pack.writer());
  report.chunks_written = pack.writer().chunks().size();
  pack.commit(std::move(manifest), checkpoint.record(), report);
  previous = reopen(*this, report.checkpoint);
  return report;
}

void Run::Impl::log(std::int64_t epoch, std::int64_t step,
                    const std::map<std::string, double>& metrics) {
  check_owner();
  Value::Map values;
  for (const auto& [name, value] : metrics) values.emplace(name, value);
  Value payload;
  payload["epoch"] = epoch;
  payload["step"] = step;
  payload["time_ns"] = core->clock().now_ns();
  payload["values"] = std::move(values);
  try {
    journal->append(format::JournalKind::metrics, last_commit, payload);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::io) throw;
    // It may be refusing because of what failed long ago. Training goes on.
    journal = begin_journal();
    journal->append(format::JournalKind::metrics, last_commit, std::move(payload));
  }
}

void Run::Impl::finish(RunStatus status) {
  check_owner();
  journal->append(format::JournalKind::status, last_commit, status_payload(status));
  sync_journal();
  record.status = status;
  StoreLock lock = core->lock();
  const bool trusted = core->is_trusted(lock);
  last_commit = lock.begin(record.directory);
  core->finish_commit(lock, trusted, [&](IndexUpdate& update) { update.put_run(record); });
}

Run::Run(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Run::Run(Run&&) noexcept = default;
Run& Run::operator=(Run&&) noexcept = default;
Run::~Run() = default;

const RunRecord& Run::record() const { return impl_->record; }
std::uint32_t Run::attempt() const { return impl_->attempt.number; }
const std::optional<Checkpoint>& Run::continued_from() const { return impl_->continued_from; }
const std::vector<std::string>& Run::skipped() const { return impl_->skipped; }

PendingSave Run::save(const StateDict& state, const SaveOptions& options) {
  return PendingSave(impl_->save(state, options));
}

void Run::log(std::int64_t epoch, std::int64_t step, const std::map<std::string, double>& metrics) {
  impl_->log(epoch, step, metrics);
}

void Run::finish(RunStatus status) { impl_->finish(status); }

}  // namespace ckp
