// Creating and resuming runs (spec/commit.md, A1 to A4).
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "check/stored_bytes.h"
#include "ckp/environment.h"
#include "ckp/error.h"
#include "ckp/query.h"
#include "ckp/shell_word.h"
#include "io/host.h"
#include "runs/later_facts.h"
#include "runs/record_codec.h"
#include "store/marks.h"
#include "store/run_facts.h"
#include "store/run_impl.h"

namespace ckp {
namespace {

Attempt new_attempt(StoreCore& core, std::uint32_t number, double devices) {
  if (!(devices >= 0 && std::isfinite(devices))) {
    throw Error(ErrorCode::invalid_argument,
                fmt::format("a run uses 0 or more devices, not {}", devices));
  }
  Attempt attempt;
  attempt.number = number;
  attempt.devices = devices;
  attempt.started_ns = core.clock().now_ns();
  attempt.pid = process_id();
  attempt.host = host_name();
  return attempt;
}

RunRecord new_record(StoreCore& core, const RunOptions& options) {
  RunRecord record;
  record.id = random_uuid();
  record.name = options.name;
  record.directory = run_directory_name(options.name, record.id);
  record.experiment = options.experiment;
  record.parameters = options.parameters;
  record.tags = options.tags;
  record.environment = options.environment;
  record.environment.erase(std::string(git_diff_key));
  record.data = options.data.to_map();
  record.directions = options.directions;
  record.best_metric = options.best_metric;
  record.parent = options.parent;
  record.created_ns = core.clock().now_ns();
  return record;
}

// What A1 and A4 write: who begins, from what, and with which source.
void append_beginning(Run::Impl& run, std::uint64_t commit, const Value::Map& environment) {
  // The record stands in every journal, so that losing the first one loses no names.
  run.journal->append(format::JournalKind::run_created, commit, run_created_payload(run.record));
  run.journal->append(format::JournalKind::attempt_opened, commit, attempt_payload(run.attempt));
  if (const auto diff = environment.find(git_diff_key); diff != environment.end()) {
    run.journal->append(format::JournalKind::source_diff, commit,
                        source_diff_payload(run.attempt.number, diff->second));
  }
}

void check_options(const RunOptions& options) {
  check_run_name(options.name);
  if (options.best_metric.empty() || options.directions.contains(options.best_metric)) return;
  throw Error(ErrorCode::invalid_argument,
              fmt::format("run {}: best_metric '{}' has no direction; add it to `directions`",
                          options.name, options.best_metric));
}

void check_free(StoreCore& core, const std::string& name) {
  if (!find_run_named(core.fs(), core.layout(), name)) {
    const auto away = find_unreachable_run(core.fs(), core.layout(), name);
    if (away) throw leads_nowhere(core.layout(), *away);
    return;
  }
  throw Error(ErrorCode::already_exists,
              fmt::format("{}: a run named '{}' exists already; resume it (--resume), choose "
                          "another name (--run NAME), or let one be chosen (--run auto)",
                          core.layout().root.string(), name));
}

[[noreturn]] void throw_held(const RunRecord& run) {
  const Attempt attempt = run.attempts.empty() ? Attempt{} : run.attempts.back();
  throw Error(ErrorCode::locked,
              fmt::format("run {}: process {} on {} is training it (attempt {}); wait for it or "
                          "end it, then resume",
                          run.name, attempt.pid, attempt.host, attempt.number));
}

std::uint32_t newest_attempt(const RunDirectory& directory, const RunRecord& run) {
  std::uint32_t newest = run.attempts.empty() ? 0 : run.attempts.back().number;
  for (const std::string& name : directory.names) {
    if (const auto journal = parse_journal_name(name)) newest = std::max(newest, journal->attempt);
  }
  return newest;
}

[[noreturn]] void throw_nothing_readable(const Run::Impl& run) {
  throw Error(ErrorCode::corrupt,
              fmt::format("run {}: no checkpoint to continue from can be read; run: ckptool "
                          "verify {}\n  {}",
                          run.record.name, shell_word(run.core->layout().root.string()),
                          fmt::join(run.skipped, "\n  ")));
}

// Why resume takes none of these by itself, or empty when it takes one of them.
std::string why_not_resumable(const std::vector<CheckpointRecord>& line) {
  std::size_t mid_step = 0;
  for (const CheckpointRecord& checkpoint : line) {
    if (checkpoint.resumable()) return {};
    if (checkpoint.mid_step()) ++mid_step;
  }
  if (line.empty()) return {};
  std::string reason = "they hold NaN or infinity";
  if (mid_step == line.size()) {
    reason = "they were saved in the middle of a step";
  } else if (mid_step > 0) {
    reason = "they hold NaN or infinity, or were saved in the middle of a step";
  }
  if (line.size() == 1) {
    return fmt::format(
        "the only checkpoint of the current line: {}",
        mid_step == 1 ? "it was saved in the middle of a step" : "it holds NaN or infinity");
  }
  return fmt::format("all {} checkpoints of the current line: {}", line.size(), reason);
}

// To start afresh beside what a repair has saved of the progress would be a silent loss of it.
void check_not_only_salvaged(const Run::Impl& run,
                             const std::vector<CheckpointRecord>& checkpoints) {
  const CheckpointRecord* newest = nullptr;
  for (const CheckpointRecord& checkpoint : checkpoints) {
    if (checkpoint.salvaged_from) newest = &checkpoint;
  }
  if (newest == nullptr) return;
  const std::string address = run.record.name + "@" + newest->id.short_hex();
  throw Error(
      ErrorCode::corrupt,
      fmt::format("run {}: its checkpoints were damaged, and repair could save them in part "
                  "only; what the newest lacks: ckptool show {} {}; continue from it by "
                  "naming it ({}), or start a new run",
                  run.record.name, shell_word(run.core->layout().root.string()),
                  shell_word(address), address));
}

// A3.
void choose_checkpoint(Run::Impl& run, const RunDirectory& directory,
                       const std::optional<Address>& from) {
  run.skipped.clear();
  run.continued_from.reset();
  run.committed.reset();
  std::vector<Error> unreadable;
  auto checkpoints = read_checkpoints(run.core->fs(), directory, &unreadable);
  for (const Error& error : unreadable) {
    if (error.code() == ErrorCode::newer_format) throw error;
    run.skipped.push_back(error.what());
  }
  std::vector<CheckpointRecord> candidates;
  std::string passed_over;
  if (from) {
    if (from->kind == Address::Kind::best) {  // also by what was measured since
      const LaterFacts facts = read_marks(*run.core).facts;
      for (CheckpointRecord& checkpoint : checkpoints) facts.apply_to(checkpoint);
    }
    candidates.push_back(resolve(*from, run.record, checkpoints, run.core->layout().root.string()));
  } else {
    candidates = current_line(run.record, checkpoints);
    if (candidates.empty()) check_not_only_salvaged(run, checkpoints);
    passed_over = why_not_resumable(candidates);
    std::erase_if(candidates, [](const CheckpointRecord& c) { return !c.resumable(); });
    std::reverse(candidates.begin(), candidates.end());
  }
  for (const CheckpointRecord& candidate : candidates) {
    try {
      auto parts = open_checkpoint_parts(*run.core, directory.name, candidate);
      check_stored_bytes(*parts);
      run.committed = std::make_shared<const CommittedState>(CommittedState{parts, {}});
      run.continued_from.emplace(std::move(parts));
      run.attempt.continued_from = candidate.id;
      run.attempt.continued_attempt = candidate.attempt;
      run.attempt.continued_commit = candidate.commit;
      run.attempt.continued_step = candidate.step;
      return;
    } catch (const Error& error) {
      // Only damage and pruning are reasons to step back: what cannot be read right now (a device
      // error, too many open files) would silently cost the newest checkpoints.
      if (from || (error.code() != ErrorCode::corrupt && error.code() != ErrorCode::not_found)) {
        throw;
      }
      run.skipped.push_back(error.what());
    }
  }
  if (!run.skipped.empty()) throw_nothing_readable(run);
  if (!passed_over.empty()) {
    run.skipped.push_back(fmt::format("{}; the run starts from nothing", passed_over));
  }
}

// A2: from here on the run is ours.
RunDirectory take_over(Run::Impl& run, std::string_view name_or_id, const AttemptOptions& options) {
  StoreCore& core = *run.core;
  core.check_writable();
  StoreLock lock = core.lock();
  auto directory = find_run(core.fs(), core.layout(), name_or_id);
  if (!directory) throw no_such_run(core, name_or_id);
  auto record = read_run(core.fs(), *directory);
  if (!record) throw no_such_run(core, name_or_id);
  run.record = std::move(*record);
  if (run_is_held(core.fs(), directory->path, directory->names)) throw_held(run.record);
  const auto& attempts = run.record.attempts;
  const double devices_before = attempts.empty() ? 1 : attempts.back().devices;
  run.attempt = new_attempt(core, newest_attempt(*directory, run.record) + 1,
                            options.devices.value_or(devices_before));
  run.attempt.parameters = options.parameters;
  run.attempt.environment = options.environment;
  run.attempt.environment.erase(std::string(git_diff_key));
  run.attempt.data = options.data.to_map();
  run.attempt.previous_seen_ns = last_sign_of_life(core.fs(), *directory);
  run.journal = std::make_unique<JournalWriter>(core.fs(), directory->path, run.record.id,
                                                run.attempt.number);
  return *directory;
}

bool is_live(StoreCore& core, const std::string& directory, const CheckpointRecord& checkpoint) {
  return core.fs().status(core.layout().run(directory) / live_name(checkpoint)).has_value();
}

// Names checkpoints that the index lists and that have no file any more: neither pruned nor
// removed, or the index would not list them. It never decides, but stepping back in silence would
// be a lie.
void note_lost(Run::Impl& run, StoreLock& lock) {
  StoreCore& core = *run.core;
  const RunDirectory directory = list_run(core.fs(), core.layout(), run.record.directory);
  std::set<Uuid> present;
  for (const ScannedPack& pack : directory.packs) present.insert(pack.name.uuid);
  std::vector<CheckpointRecord> listed;
  try {
    core.prepare_for_save(lock);
  } catch (const Error&) {
    return;  // without an index nobody knows
  }
  core.ask_if_trusted(lock, [&](const Index& index) { listed = index.checkpoints(directory.run); });
  for (const CheckpointRecord& checkpoint : listed) {
    if (!checkpoint.resumable() || present.contains(checkpoint.id)) continue;
    run.skipped.push_back(
        fmt::format("{}: the file is missing, and the checkpoint was neither "
                    "pruned nor removed",
                    (directory.path / live_name(checkpoint)).string()));
    if (!run.committed) throw_nothing_readable(run);
  }
}

// A4. False when the chosen checkpoint has been pruned since it was chosen.
bool announce_attempt(Run::Impl& run, bool from_newest, const Value::Map& environment) {
  StoreCore& core = *run.core;
  StoreLock lock = core.lock();
  if (run.committed && !is_live(core, run.record.directory, run.committed->checkpoint->record)) {
    return false;
  }
  if (from_newest) note_lost(run, lock);
  run.record.attempts.push_back(run.attempt);
  run.record.status = RunStatus::in_progress;
  // One whose directory came back after the index was made without it is not listed: its record
  // alone would hide its checkpoints, and a resync brings in both.
  const bool trusted = take_later_facts(core, lock, run.record);
  const std::uint64_t commit = lock.begin(run.record.directory);
  append_beginning(run, commit, environment);
  run.journal->sync();
  core.fs().sync_directory(core.layout().run(run.record.directory));
  run.last_commit = commit;
  core.finish_commit(lock, trusted, [&](IndexUpdate& update) { update.put_run(run.record); });
  return true;
}

}  // namespace

bool take_later_facts(StoreCore& core, const StoreLock& lock, RunRecord& run) {
  std::optional<RunRecord> listed;
  core.ask_if_trusted(lock, [&](const Index& index) { listed = index.run(run.id); });
  if (listed) run.later = std::move(listed->later);
  return listed.has_value();
}

Error no_such_run(StoreCore& core, std::string_view name_or_id) {
  std::vector<std::string> names;
  for (const std::string& directory : list_run_directories(core.fs(), core.layout())) {
    const auto run = read_run(core.fs(), list_run(core.fs(), core.layout(), directory));
    if (run) names.push_back(run->name);
    if (names.size() == 20) break;
  }
  std::sort(names.begin(), names.end());
  return {ErrorCode::not_found,
          names.empty()
              ? fmt::format("{}: no run named '{}'; the store has no runs yet",
                            core.layout().root.string(), name_or_id)
              : fmt::format("{}: no run named '{}'; there are: {}", core.layout().root.string(),
                            name_or_id, fmt::join(names, ", "))};
}

std::unique_ptr<Run::Impl> create_run(std::shared_ptr<StoreCore> core, const RunOptions& options) {
  check_options(options);
  auto run = std::make_unique<Run::Impl>(core);
  run->record = new_record(*core, options);
  run->attempt = new_attempt(*core, 1, options.devices);
  run->record.attempts.push_back(run->attempt);

  FileSystem& fs = core->fs();
  core->check_writable();
  StoreLock lock = core->lock();
  check_free(*core, options.name);
  const bool trusted = core->is_trusted(lock);
  const auto final_path = core->layout().run(run->record.directory);
  auto making = final_path;
  making += ".new";
  fs.make_directory(making);
  run->journal = std::make_unique<JournalWriter>(fs, making, run->record.id, 1);
  const std::uint64_t commit = lock.commit_number() + 1;
  append_beginning(*run, commit, options.environment);
  run->journal->sync();
  fs.sync_directory(making);
  lock.begin(all_runs);
  fs.rename(making, final_path);
  try {
    fs.sync_directory(core->layout().runs());
  } catch (const Error&) {
    fs.rename(final_path, making);  // not durable, so it must not stay visible
    throw;
  }
  run->last_commit = commit;
  core->finish_commit(lock, trusted, [&](IndexUpdate& update) { update.put_run(run->record); });
  return run;
}

std::unique_ptr<Run::Impl> resume_run(std::shared_ptr<StoreCore> core, std::string_view name_or_id,
                                      const std::optional<Address>& from,
                                      const AttemptOptions& options) {
  auto run = std::make_unique<Run::Impl>(core);
  const RunDirectory directory = take_over(*run, name_or_id, options);  // A2
  try {
    do {
      choose_checkpoint(*run, list_run(run->core->fs(), run->core->layout(), directory.name),
                        from);                                      // A3
    } while (!announce_attempt(*run, !from, options.environment));  // A4
  } catch (...) {
    run->core->fs().remove(run->journal->path());  // no attempt was made
    throw;
  }
  return run;
}

std::shared_ptr<const Checkpoint::Parts> open_checkpoint_parts(StoreCore& core,
                                                               const std::string& directory,
                                                               const CheckpointRecord& checkpoint,
                                                               const PackSet& known) {
  const auto path = core.layout().run(directory) / live_name(checkpoint);
  const auto check_live = [&] {
    if (core.fs().status(path)) return;
    throw Error(ErrorCode::not_found,
                fmt::format("{}: checkpoint {} of run {} has no file: it was pruned, or lost "
                            "(ckptool verify {} tells)",
                            path.string(), checkpoint.id.short_hex(), checkpoint.run_name,
                            shell_word(core.layout().root.string())));
  };
  check_live();
  try {
    ScannedCheckpoint scanned =
        read_checkpoint(core.fs(), {*parse_pack_name(live_name(checkpoint)), path});
    auto parts = std::make_shared<Checkpoint::Parts>();
    parts->record = std::move(scanned.record);
    for (const LaterFact& fact : checkpoint.later) apply(fact, parts->record);
    parts->manifest = std::move(scanned.manifest);
    parts->packs = open_referred_packs(core.fs(), core.layout(), directory, parts->manifest, known);
    parts->packs.emplace(checkpoint.id, std::move(scanned.pack));
    parts->name = path.string();
    parts->store = core.layout().root.string();
    return parts;
  } catch (const Error&) {
    check_live();  // pruned while it was being opened: that is no damage
    throw;
  }
}

}  // namespace ckp
