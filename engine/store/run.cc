// ckp::Run: its journal, and its end. Saves are in run_save.cc.
#include "ckp/run.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "ckp/error.h"
#include "io/host.h"
#include "runs/record_codec.h"
#include "store/run_impl.h"
#include "store/save_group.h"

namespace ckp {
Run::Impl::Impl(std::shared_ptr<StoreCore> store)
    : core(std::move(store)),
      creator_pid(process_id()),
      pipeline(std::make_unique<SavePipeline>(
          core->save_memory(), [this](std::span<SaveJob> jobs) { carry_out_saves(*this, jobs); },
          [this] { policy.apply_if_due(); })) {}

// A forked child must not touch the threads: they are left to the child's end.
Run::Impl::~Impl() {
  if (process_id() != creator_pid) {
    (void)copier.release();
    (void)pipeline.release();
    return;
  }
  wait_for_copier();
  pipeline->drain();
  try {
    if (const auto error = pipeline->take_error()) std::rethrow_exception(error);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "ckpstore: run %s: a save that nobody waited for has failed: %s\n",
                 record.name.c_str(), error.what());
  } catch (...) {
    std::fprintf(stderr, "ckpstore: run %s: a save that nobody waited for has failed\n",
                 record.name.c_str());
  }
}

void Run::Impl::check_owner() const {
  if (process_id() == creator_pid) return;
  throw Error(ErrorCode::invalid_argument,
              fmt::format("run {}: this process was forked from the one that opened the run; only "
                          "that one can use it",
                          record.name));
}

JournalMark Run::Impl::sync_journal() {
  const std::lock_guard lock(journal_mutex);
  try {
    journal->sync();
  } catch (const Error&) {
    renew_journal();
    journal->sync();
    core->fs().sync_directory(journal->path().parent_path());
  }
  return journal->mark();
}

void Run::Impl::renew_journal() {
  auto next = begin_journal();
  const auto directory = core->layout().run(record.directory);
  const auto unsynced = journal->read_unsynced(core->fs(), directory);
  const auto old = directory / journal->path().filename();
  if (unsynced) {
    for (const format::JournalRecord& one : *unsynced) {
      const bool is_in_next = one.kind == format::JournalKind::run_created ||
                              one.kind == format::JournalKind::attempt_opened;
      if (!is_in_next) next->append(one.kind, one.commit, one.payload);
    }
  }
  journal = std::move(next);
  if (unsynced) return;
  throw Error(ErrorCode::io,
              fmt::format("{}: could not be written or made durable, and cannot be read back; what "
                          "was logged since the last save may be lost; the run goes on in another "
                          "journal",
                          old.string()));
}

void Run::Impl::append(format::JournalKind kind, Value payload) {
  if (journal->length() > max_journal_size / 2) renew_journal();
  try {
    journal->append(kind, last_commit, payload);
  } catch (const Error& error) {
    const bool broken =
        error.code() == ErrorCode::io || error.code() == ErrorCode::out_of_resources;
    if (!broken) throw;
    // It may be refusing because of what failed long ago. Training goes on.
    renew_journal();
    journal->append(kind, last_commit, std::move(payload));
  }
}

void Run::Impl::saw_commit(std::uint64_t commit) {
  const std::lock_guard lock(journal_mutex);
  last_commit = commit;
}

std::unique_ptr<JournalWriter> Run::Impl::begin_journal() const {
  auto next = std::make_unique<JournalWriter>(core->fs(), core->layout().run(record.directory),
                                              record.id, attempt.number);
  next->append(format::JournalKind::run_created, last_commit, run_created_payload(record));
  next->append(format::JournalKind::attempt_opened, last_commit, attempt_payload(attempt));
  return next;
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
  const std::lock_guard lock(journal_mutex);
  append(format::JournalKind::metrics, std::move(payload));
}

void Run::Impl::finish(RunStatus status) {
  check_owner();
  wait_for_copier();
  pipeline->drain();
  const std::int64_t now_ns = core->clock().now_ns();
  {
    const std::lock_guard lock(journal_mutex);
    append(format::JournalKind::status, status_payload(status, now_ns));
  }
  sync_journal();
  record.status = status;
  record.attempts.back().last_seen_ns = std::max(record.attempts.back().last_seen_ns, now_ns);
  StoreLock lock = core->lock();
  const bool trusted = take_later_facts(*core, lock, record);
  last_commit = lock.begin(record.directory);
  core->finish_commit(lock, trusted, [&](IndexUpdate& update) { update.put_run(record); });
  if (const auto error = pipeline->take_error()) std::rethrow_exception(error);
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
  return impl_->save(state, options);
}

void Run::log(std::int64_t epoch, std::int64_t step, const std::map<std::string, double>& metrics) {
  impl_->log(epoch, step, metrics);
}

void Run::finish(RunStatus status) { impl_->finish(status); }

}  // namespace ckp
