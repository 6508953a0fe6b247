#include "support/crash_history.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ckp/error.h"
#include "ckp/format/rounding.h"
#include "ckp/query.h"

namespace ckp::test {
namespace {

constexpr std::size_t frozen_size = 2048, trained_size = 1024;
constexpr std::size_t table_size = 16384, table_row = 64;  // the smallest that has its own chunks
constexpr int version_after_crash = 1'000'000;

std::vector<float> noise(std::size_t size, int seed) {
  std::vector<float> values(size);
  for (std::size_t i = 0; i < size; ++i) {
    values[i] = std::sin(static_cast<float>(i) * 1.37f + static_cast<float>(seed % 1000));
  }
  return values;
}

TensorView view(const std::vector<float>& values) {
  return contiguous_view(DType::float32, {static_cast<std::int64_t>(values.size())}, values.data());
}

void expect_clean(const Store& store, const char* when, std::vector<std::string>& problems) {
  const VerifyReport report = store.verify({.level = VerifyLevel::full, .threads = 1});
  for (const Finding& finding : report.findings) {
    problems.push_back(fmt::format("verify {}: {}: {}", when, finding.path, finding.message));
  }
}

void save_version(Run& run, int version) {
  run.save(CrashModel(version).dict(), CrashModel::save_options(version)).wait();
}

// Resuming must take the newest checkpoint that is listed.
void save_on(Store& store, std::vector<std::string>& problems) {
  const auto runs = store.runs();
  if (runs.empty()) {
    Run run = store.create_run({.name = "after"});
    return save_version(run, version_after_crash);
  }
  const RunRecord& record = runs.front();
  const auto newest = newest_resumable(current_line(record, store.checkpoints(record.id)));
  Run run = store.resume_run(record.name);
  for (const std::string& skipped : run.skipped()) {
    problems.push_back(fmt::format("resuming {} skipped: {}", record.name, skipped));
  }
  if (run.continued_from().has_value() != newest.has_value() ||
      (newest && run.continued_from()->record().id != newest->id)) {
    problems.push_back(fmt::format("resuming {} did not take the newest checkpoint", record.name));
  }
  save_version(run, version_after_crash);
  const auto all = store.checkpoints(record.id);
  if (all.empty() || all.back().epoch != version_after_crash ||
      !CrashModel(version_after_crash).is_in(store.open_checkpoint(all.back()))) {
    problems.push_back(fmt::format("what was saved after the crash is not in run {}", record.name));
  }
}

// Pruning to the newest checkpoint of each run.
void prune_all(Store& store, std::vector<std::string>& problems) {
  KeepPolicy policy;
  policy.last = 1;
  store.prune(policy);
  for (const RunRecord& run : store.runs()) {
    const auto line = current_line(run, store.checkpoints(run.id));
    if (line.size() > 1) {
      problems.push_back(
          fmt::format("run {}: {} checkpoints after pruning", run.name, line.size()));
    }
    for (const CheckpointRecord& checkpoint : line) {
      const auto version = static_cast<int>(checkpoint.epoch);
      if (CrashModel(version).is_in(store.open_checkpoint(checkpoint))) continue;
      problems.push_back(fmt::format("{}@{}: other bytes after pruning", run.name, version));
    }
  }
}

void undelete_all(Store& store, std::vector<std::string>& problems) {
  std::vector<Uuid> ids;
  for (const TrashedCheckpoint& one : store.trash()) ids.push_back(one.checkpoint.id);
  for (const CheckpointRecord& checkpoint : store.undelete(ids)) {
    const auto version = static_cast<int>(checkpoint.epoch);
    const CheckpointRecord listed =
        store.find(parse_address(fmt::format("{}@{}", checkpoint.run_name, checkpoint.id.hex())));
    if (listed == checkpoint && CrashModel(version).is_in(store.open_checkpoint(listed))) continue;
    problems.push_back(
        fmt::format("{}@{}: not what went to the trash", checkpoint.run_name, version));
  }
  if (!store.trash().empty()) problems.emplace_back("the trash is not empty");
}

}  // namespace

CrashModel::CrashModel(int version)
    : version_(version), frozen_(noise(frozen_size, 0)), trained_(noise(trained_size, version)) {
  trained_[0] = static_cast<float>(version);
  if (version < first_patched || version == version_after_crash) return;
  if (version >= first_derived) {
    table_ = noise(table_size, version);
    half_.resize(table_size);
    format::round_floats(format::Rounding::bfloat16, std::as_bytes(std::span(table_)),
                         std::as_writable_bytes(std::span(half_)));
    return;
  }
  if (version >= first_differing) {
    table_ = noise(table_size, first_differing);
    for (int step = first_differing; step < version; ++step) {
      const std::vector<float> moves = noise(table_size, step);
      for (std::size_t i = 0; i < table_size; ++i) table_[i] *= 1 + 1e-3f * moves[i];
    }
    return;
  }
  table_.assign(table_size, 0.5f);
  for (int row = first_patched; row < version; ++row) {
    // Two rows a version, in two chunks.
    for (const int at : {3 * (row - first_patched), 100}) {
      table_[static_cast<std::size_t>(at) * table_row] = static_cast<float>(row);
    }
  }
}

StateDict CrashModel::dict() const {
  StateDict state;
  state.add("model/frozen", view(frozen_));
  state.add("model/trained", view(trained_));
  if (!table_.empty()) state.add("model/table", view(table_));
  if (!half_.empty()) {
    state.add("model/half", contiguous_view(DType::bfloat16, {table_size}, half_.data()));
  }
  state.set("progress/version", std::int64_t{version_});
  return state;
}

bool CrashModel::is_in(const Checkpoint& checkpoint) const {
  const auto equal = [&](const char* name, const auto& expected) {
    const auto bytes = std::as_bytes(std::span(expected));
    const auto found = checkpoint.read(name, {.threads = 1});
    return std::equal(bytes.begin(), bytes.end(), found.begin(), found.end());
  };
  StateDict values;
  values.set("progress/version", std::int64_t{version_});
  const std::size_t tensors = (table_.empty() ? 2u : 3u) + (half_.empty() ? 0u : 1u);
  return checkpoint.manifest().tensors.size() == tensors &&
         checkpoint.values() == values.values() && equal("model/frozen", frozen_) &&
         equal("model/trained", trained_) && (table_.empty() || equal("model/table", table_)) &&
         (half_.empty() || equal("model/half", half_));
}

SaveOptions CrashModel::save_options(int version) {
  SaveOptions options;
  options.epoch = version;
  options.step = 10 * version;
  options.metrics = {{"loss", 1.0 / (1.0 + version)}};
  options.encode.chunk_size = 4096;
  options.encode.threads = 1;
  return options;
}

std::set<CrashHistory::Place> CrashHistory::Life::places(std::size_t at) const {
  std::set<Place> places{Place::nowhere};
  for (const Move& move : moves) {
    if (move.begun > at) break;
    if (move.done <= at) places.clear();
    places.insert(move.to);
  }
  return places;
}

void CrashHistory::removing_run(const std::string& run, std::size_t position) {
  runs_.at(run).begin(position, Place::nowhere);
  for (auto& [key, life] : checkpoints_) {
    if (key.first == run) life.begin(position, Place::nowhere);
  }
}

void CrashHistory::removed_run(const std::string& run, std::size_t position) {
  runs_.at(run).end(position);
  for (auto& [key, life] : checkpoints_) {
    if (key.first == run) life.end(position);
  }
}

void CrashHistory::saving(const std::string& run, int version, std::size_t position) {
  checkpoints_[{run, version}].begin(position, Place::live);
}
void CrashHistory::saved(const std::string& run, int version, std::size_t position) {
  checkpoints_.at({run, version}).end(position);
}
void CrashHistory::moving(const std::string& run, int version, Place to, std::size_t position) {
  checkpoints_.at({run, version}).begin(position, to);
}
void CrashHistory::moved(const std::string& run, int version, std::size_t position) {
  checkpoints_.at({run, version}).end(position);
}

CrashHistory CrashHistory::continued(std::size_t position) const {
  CrashHistory next = *this;
  const auto restart = [&](Life& life) {
    std::erase_if(life.moves, [&](const Move& move) { return move.begun > position; });
    for (Move& move : life.moves) move = {0, move.done <= position ? 0 : never, move.to};
  };
  restart(next.store_);
  for (auto& [name, life] : next.runs_) restart(life);
  for (auto& [key, life] : next.checkpoints_) restart(life);
  std::erase_if(next.runs_, [](const auto& entry) { return entry.second.moves.empty(); });
  std::erase_if(next.checkpoints_, [](const auto& entry) { return entry.second.moves.empty(); });
  return next;
}

void CrashHistory::settle(const Store& store) {
  std::set<std::string> runs;
  std::map<std::pair<std::string, int>, Place> checkpoints;
  for (const RunRecord& run : store.runs()) {
    runs.insert(run.name);
    for (const CheckpointRecord& checkpoint : store.checkpoints(run.id)) {
      checkpoints[{run.name, static_cast<int>(checkpoint.epoch)}] = Place::live;
    }
  }
  for (const TrashedCheckpoint& one : store.trash()) {
    checkpoints[{one.run, static_cast<int>(one.checkpoint.epoch)}] = Place::trash;
  }
  for (auto& [name, life] : runs_) {
    life.settle(runs.contains(name) ? Place::live : Place::nowhere);
  }
  for (auto& [key, life] : checkpoints_) {
    const auto found = checkpoints.find(key);
    life.settle(found == checkpoints.end() ? Place::nowhere : found->second);
  }
}

std::set<std::size_t> CrashHistory::milestones() const {
  std::set<std::size_t> all;
  const auto add = [&](const Life& life) {
    for (std::size_t i = 0; i < life.moves.size(); ++i) {
      if (i > 0) all.insert(life.moves[i].begun);
      all.insert(life.moves[i].done);
    }
  };
  add(store_);
  for (const auto& [name, life] : runs_) add(life);
  for (const auto& [key, life] : checkpoints_) add(life);
  return all;
}

std::uint64_t CrashHistory::acknowledged(std::size_t position) const {
  return static_cast<std::uint64_t>(std::count_if(
      checkpoints_.begin(), checkpoints_.end(),
      [&](const auto& entry) { return entry.second.must_be(Place::live, position); }));
}

std::vector<std::string> CrashHistory::compare(const Store& store, std::size_t position) const {
  std::vector<std::string> problems;
  std::set<std::string> runs;
  std::set<std::pair<std::string, int>> found;
  for (const RunRecord& run : store.runs()) {
    if (!runs.insert(run.name).second) problems.push_back("run " + run.name + " is there twice");
    const auto known = runs_.find(run.name);
    if (known == runs_.end() || !known->second.may_be(Place::live, position)) {
      problems.push_back("run " + run.name + " is there, and should not be");
      continue;
    }
    compare_run(store, run, position, found, problems);
  }
  for (const auto& [name, life] : runs_) {
    if (life.must_be(Place::live, position) && !runs.contains(name))
      problems.push_back("lost run " + name);
  }
  for (const auto& [key, life] : checkpoints_) {
    if (!life.must_be(Place::live, position) || found.contains(key)) continue;
    problems.push_back(fmt::format("lost checkpoint {}@{}", key.first, key.second));
  }
  compare_trash(store, position, found, problems);
  return problems;
}

// What it holds is read when it is back: see use_after_crash.
void CrashHistory::compare_trash(const Store& store, std::size_t position,
                                 const std::set<std::pair<std::string, int>>& live,
                                 std::vector<std::string>& problems) const {
  std::set<std::pair<std::string, int>> found;
  for (const TrashedCheckpoint& one : store.trash()) {
    const std::pair key(one.run, static_cast<int>(one.checkpoint.epoch));
    const std::string name = fmt::format("{}@{} in the trash", key.first, key.second);
    const auto known = checkpoints_.find(key);
    const bool may_be = known != checkpoints_.end() && known->second.may_be(Place::trash, position);
    if (!may_be) problems.push_back(name + " should not be there");
    if (!found.insert(key).second) problems.push_back(name + " is there twice");
    if (live.contains(key)) problems.push_back(name + " is live as well");
  }
  for (const auto& [key, life] : checkpoints_) {
    if (!life.must_be(Place::trash, position) || found.contains(key)) continue;
    problems.push_back(fmt::format("lost {}@{} from the trash", key.first, key.second));
  }
}

void CrashHistory::compare_run(const Store& store, const RunRecord& run, std::size_t position,
                               std::set<std::pair<std::string, int>>& found,
                               std::vector<std::string>& problems) const {
  std::uint64_t last_commit = 0;
  for (const CheckpointRecord& checkpoint : store.checkpoints(run.id)) {
    const auto version = static_cast<int>(checkpoint.epoch);
    const std::string name = fmt::format("{}@{}", run.name, version);
    const auto known = checkpoints_.find({run.name, version});
    if (known == checkpoints_.end() || !known->second.may_be(Place::live, position)) {
      problems.push_back("checkpoint " + name + " is there, and should not be");
      continue;
    }
    if (!found.insert(known->first).second) problems.push_back(name + " is there twice");
    if (checkpoint.commit <= last_commit) problems.push_back(name + " has an old commit number");
    last_commit = checkpoint.commit;
    try {
      if (!CrashModel(version).is_in(store.open_checkpoint(checkpoint))) {
        problems.push_back(name + " holds other bytes");
      }
    } catch (const Error& error) {
      problems.push_back(name + " cannot be read: " + error.what());
    }
  }
}

std::vector<std::string> use_after_crash(const std::filesystem::path& directory,
                                         const CrashHistory& history, std::size_t position,
                                         bool prune, std::shared_ptr<FileSystem> fs) {
  const auto path = directory / "store";
  StoreOptions options;
  options.file_system = fs;
  options.lock_timeout_ms = 1000;
  std::vector<std::string> problems;
  try {
    if (history.store_must_exist(position) && !Store::exists(path, *fs)) return {"lost the store"};
    Store store = Store::open_or_create(path, options);
    problems = history.compare(store, position);
    expect_clean(store, "after the crash", problems);
    save_on(store, problems);
    expect_clean(store, "after the next save", problems);
    if (prune) {
      prune_all(store, problems);
      save_on(store, problems);
      expect_clean(store, "after pruning", problems);
    }
    undelete_all(store, problems);
    expect_clean(store, "with what was in the trash", problems);
  } catch (const std::exception& error) {
    problems.push_back(error.what());
  }
  return problems;
}

}  // namespace ckp::test
