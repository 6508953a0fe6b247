// ckp::Store: making, opening and asking a store.
#include "ckp/store.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "check/verify_store.h"
#include "ckp/error.h"
#include "ckp/query.h"
#include "ckp/repair.h"
#include "ckp/shell_word.h"
#include "query/indexed_search.h"
#include "query/search.h"
#include "retention/prune.h"
#include "retention/stored_policy.h"
#include "retention/take_stats.h"
#include "store/attach.h"
#include "store/hold.h"
#include "store/identity.h"
#include "store/import.h"
#include "store/make_store.h"
#include "store/marks.h"
#include "store/missing_checkpoints.h"
#include "store/promote.h"
#include "store/returned_runs.h"
#include "store/run_facts.h"
#include "store/run_impl.h"
#include "store/run_scan.h"
#include "store/store_core.h"
#include "store/trash.h"
#include "store/undelete.h"

namespace ckp {
namespace {

format::StoreIdentity read_identity(FileSystem& fs, const StoreLayout& layout) {
  if (!fs.status(layout.identity())) {
    if (can_repair(layout.root, fs)) throw Error(ErrorCode::not_found, lost_identity(layout));
    throw Error(ErrorCode::not_found,
                fmt::format("{}: no store here; run: ckptool init {}", layout.root.string(),
                            shell_word(layout.root.string())));
  }
  return identity_now(fs, layout);
}

void check_own_identity(FileSystem& fs, const StoreLayout& layout, const Uuid& claimed) {
  const auto rightful = rightful_uuid(fs, layout, claimed);
  if (!rightful) return;
  throw Error(
      ErrorCode::corrupt,
      fmt::format("{}; put the store's own file back, or run: ckptool repair {}",
                  foreign_identity(layout, claimed, *rightful), shell_word(layout.root.string())));
}

std::vector<RunRecord> copies(const RunList& list) {
  std::vector<RunRecord> runs;
  runs.reserve(list.size());
  for (const auto& run : list) runs.push_back(*run);
  return runs;
}

}  // namespace

struct Store::Impl {
  std::shared_ptr<StoreCore> core;

  // Of one that no process has ended: who holds it, and since when nobody does.
  void tell_whether_alive(RunRecord& record) const;
  RunList runs() const;  // by the time they were created
  RunList runs_from_files() const;
  RunRecord run(std::string_view name_or_id) const;
  // Only by the index, and only by its whole name.
  std::optional<RunRecord> run_named(std::string_view name) const;
  std::vector<CheckpointRecord> checkpoints(const RunRecord& run) const;
  // None of those that cannot be read: Store::missing says so.
  LaterFacts facts_from_files() const;
  RunList runs_of(const Search& search) const;
  std::optional<CheckpointRecord> best(const Address& address, const RunRecord& run) const;
  CheckpointRecord find(const Address& address) const;
  CheckpointRecord find_by_id(const std::string& prefix) const;
  CheckpointRecord find_aliased(std::string_view alias, const Uuid& checkpoint) const;
};

Store::Store(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
Store::Store(Store&&) noexcept = default;
Store& Store::operator=(Store&&) noexcept = default;
Store::~Store() = default;

bool Store::exists(const std::filesystem::path& path, FileSystem& fs) {
  return fs.status(StoreLayout{path}.identity()).has_value();
}

Store Store::create(const std::filesystem::path& path, const StoreOptions& options) {
  FileSystem& fs = *options.file_system;
  const StoreLayout layout{path};
  if (exists(path, fs)) {
    throw Error(ErrorCode::already_exists,
                fmt::format("{}: there is a store already", path.string()));
  }
  fs.make_directory(path);
  check_place(fs, layout);
  // Before STORE, which makes it a store that others may save into.
  const auto parent = std::filesystem::absolute(path).lexically_normal().parent_path();
  fs.sync_directory(path.filename().empty() ? parent.parent_path() : parent);
  write_store(fs, layout, *options.clock);
  return open(path, options);
}

Store Store::open(const std::filesystem::path& path, const StoreOptions& options) {
  const auto identity = read_identity(*options.file_system, StoreLayout{path});
  check_own_identity(*options.file_system, StoreLayout{path}, identity.uuid);
  auto impl = std::make_shared<Impl>();
  impl->core = std::make_shared<StoreCore>(path, options, identity);
  return Store(std::move(impl));
}

Store Store::open_or_create(const std::filesystem::path& path, const StoreOptions& options) {
  if (!exists(path, *options.file_system)) {
    try {
      return create(path, options);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::already_exists) throw;  // somebody was faster
    }
  }
  return open(path, options);
}

const std::filesystem::path& Store::path() const { return impl_->core->layout().root; }
Uuid Store::uuid() const { return impl_->core->uuid(); }
const std::vector<std::string>& Store::notes() const { return impl_->core->notes(); }
std::optional<std::string> Store::index_damage() const { return impl_->core->index_damage(); }

Run Store::create_run(const RunOptions& options) {
  return Run(ckp::create_run(impl_->core, options));
}

Run Store::resume_run(std::string_view name_or_id, const std::optional<Address>& from,
                      const AttemptOptions& options) {
  std::optional<Address> start = from;
  if (from && from->kind == Address::Kind::alias) {
    start->kind = Address::Kind::id;
    start->text = resolve_alias(*impl_->core, from->text).hex();
  }
  return Run(ckp::resume_run(impl_->core, name_or_id, start, options));
}

std::string Store::free_run_name(std::string_view name) const {
  check_run_name(name);
  FileSystem& fs = impl_->core->fs();
  const StoreLayout& layout = impl_->core->layout();
  std::string candidate(name);
  for (int number = 2;
       find_run_named(fs, layout, candidate) || find_unreachable_run(fs, layout, candidate);
       ++number) {
    candidate = fmt::format("{}-{}", name, number);
  }
  return candidate;
}

void Store::Impl::tell_whether_alive(RunRecord& record) const {
  const RunDirectory directory = list_run(core->fs(), core->layout(), record.directory);
  const bool alive = run_is_held(core->fs(), directory.path, directory.names);
  if (!alive) record.status = RunStatus::interrupted;
  if (record.attempts.empty()) return;
  std::int64_t& seen_ns = record.attempts.back().last_seen_ns;
  seen_ns =
      std::max(seen_ns, alive ? core->clock().now_ns() : last_sign_of_life(core->fs(), directory));
}

RunList Store::Impl::runs() const {
  ListedRuns listed;
  const bool asked = core->ask([&](const Index& index) { listed = index.run_list(); });
  RunList all = asked && list_returned_runs(*core, listed) ? *listed.runs : runs_from_files();
  for (std::shared_ptr<const RunRecord>& record : all) {
    if (record->status != RunStatus::in_progress) continue;
    RunRecord told = *record;
    tell_whether_alive(told);
    record = std::make_shared<RunRecord>(std::move(told));
  }
  return all;
}

RunList Store::Impl::runs_from_files() const {
  RunList all;
  FileSystem& fs = core->fs();
  const LaterFacts facts = facts_from_files();
  for (const std::string& directory : list_run_directories(fs, core->layout())) {
    if (auto record = read_run(fs, list_run(fs, core->layout(), directory))) {
      facts.apply_to(*record);
      all.push_back(std::make_shared<RunRecord>(std::move(*record)));
    }
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const auto& a, const auto& b) { return a->created_ns < b->created_ns; });
  return all;
}

std::optional<RunRecord> Store::Impl::run_named(std::string_view name) const {
  std::optional<RunRecord> found;
  bool complete = false;
  core->ask([&](const Index& index) {
    found = index.run_named(name);
    complete = found && !lacks_a_run(*core, index);
  });
  if (!complete) return std::nullopt;
  if (found->status == RunStatus::in_progress) tell_whether_alive(*found);
  return found;
}

RunRecord Store::Impl::run(std::string_view name_or_id) const {
  if (auto found = run_named(name_or_id)) return std::move(*found);
  std::vector<RunRecord> matches;
  for (const auto& record : runs()) {
    if (record->name == name_or_id) return *record;
    if (name_or_id.size() >= 4 && record->id.hex().starts_with(name_or_id)) {
      matches.push_back(*record);
    }
  }
  if (matches.empty()) throw no_such_run(*core, name_or_id);
  if (matches.size() > 1) {
    throw Error(ErrorCode::invalid_argument,
                fmt::format("'{}' is the beginning of {} run ids; give more digits", name_or_id,
                            matches.size()));
  }
  return matches.front();
}

std::vector<CheckpointRecord> Store::Impl::checkpoints(const RunRecord& run) const {
  std::vector<CheckpointRecord> all;
  if (core->ask([&](const Index& index) { all = index.checkpoints(run.id); })) return all;
  all = read_checkpoints(core->fs(), list_run(core->fs(), core->layout(), run.directory));
  const LaterFacts facts = facts_from_files();
  for (CheckpointRecord& checkpoint : all) facts.apply_to(checkpoint);
  return all;
}

LaterFacts Store::Impl::facts_from_files() const {
  return known_facts(core->fs(), core->layout(), core->uuid()).value_or(LaterFacts{});
}

RunList Store::Impl::runs_of(const Search& search) const {
  if (search.runs.empty()) return runs();
  RunList wanted;
  for (const std::string& name : search.runs) {
    wanted.push_back(std::make_shared<RunRecord>(run(name)));
  }
  return wanted;
}

std::optional<CheckpointRecord> Store::Impl::best(const Address& address,
                                                  const RunRecord& run) const {
  const std::string& metric = address.metric.empty() ? run.best_metric : address.metric;
  const auto declared = run.directions.find(metric);
  if (metric.empty() || (!address.better && declared == run.directions.end())) return std::nullopt;
  const Better better = address.better ? *address.better : declared->second;
  std::optional<CheckpointRecord> found;
  core->ask([&](const Index& index) {
    index.look([&](SearchView& view) { found = best_indexed(run, metric, better, view); });
  });
  return found;
}

CheckpointRecord Store::Impl::find_by_id(const std::string& prefix) const {
  std::vector<CheckpointRecord> found;
  const auto ask = [&] {
    return core->ask([&](const Index& index) { found = index.checkpoints_by_prefix(prefix, 2); });
  };
  bool asked = ask();
  if (asked && found.empty()) {
    runs();  // brings in those whose directory has come back
    asked = ask();
  }
  if (!asked) {
    found.clear();
    for (const auto& run : runs()) {
      for (CheckpointRecord& checkpoint : checkpoints(*run)) {
        if (checkpoint.id.hex().starts_with(prefix)) found.push_back(std::move(checkpoint));
      }
    }
  }
  if (found.empty()) {
    throw Error(ErrorCode::not_found, fmt::format("{}: no checkpoint has an id beginning with {}",
                                                  core->layout().root.string(), prefix));
  }
  if (found.size() > 1) {
    throw Error(
        ErrorCode::invalid_argument,
        fmt::format("'{}' is the beginning of several checkpoint ids; give more digits", prefix));
  }
  return found.front();
}

CheckpointRecord Store::Impl::find_aliased(std::string_view alias, const Uuid& checkpoint) const {
  try {
    return find_by_id(checkpoint.hex());
  } catch (const Error& error) {
    if (error.code() != ErrorCode::not_found) throw;
    throw Error(ErrorCode::not_found,
                fmt::format("{}: alias {} points at checkpoint {}, which is gone",
                            core->layout().root.string(), alias, checkpoint.short_hex()));
  }
}

std::vector<RunRecord> Store::runs() const { return copies(impl_->runs()); }
RunRecord Store::run(std::string_view name_or_id) const { return impl_->run(name_or_id); }

std::vector<CheckpointRecord> Store::checkpoints(const Uuid& run) const {
  for (const auto& record : impl_->runs()) {
    if (record->id == run) return impl_->checkpoints(*record);
  }
  throw no_such_run(*impl_->core, run.hex());
}

MetricFollower Store::follow(const RunRecord& run) const {
  return {impl_->core->file_system(), impl_->core->layout().run(run.directory)};
}

std::vector<MetricPoint> Store::metrics(const RunRecord& run, Superseded superseded) const {
  std::vector<MetricPoint> points = follow(run).read();
  if (superseded == Superseded::included) return points;
  return current_points(run, impl_->checkpoints(run), std::move(points));
}

std::optional<std::string> Store::source_diff(const RunRecord& run, std::uint32_t attempt) const {
  FileSystem& fs = impl_->core->fs();
  return read_source_diff(fs, list_run(fs, impl_->core->layout(), run.directory), attempt);
}

std::vector<FoundRun> Store::find_runs(const Search& search) const {
  const auto with_history = [&](const SharedRun& run, const UseHistory& use) {
    const bool asked = impl_->core->ask([&](const Index& index) {
      index.look([&](SearchView& view) { use_indexed_history(run, view, use); });
    });
    if (!asked) use(RunHistory(*run, impl_->checkpoints(*run)));
  };
  return search_runs(search, impl_->runs_of(search), with_history);
}

std::vector<FoundCheckpoint> Store::find_checkpoints(const Search& search) const {
  const RunList runs = impl_->runs_of(search);
  std::optional<std::vector<FoundCheckpoint>> found;
  if (may_be_indexed(search)) {
    impl_->core->ask([&](const Index& index) {
      index.look([&](SearchView& view) { found = search_indexed(search, runs, view); });
    });
  }
  if (found) return std::move(*found);
  return search_checkpoints(search, runs,
                            [&](const RunRecord& run) { return impl_->checkpoints(run); });
}

std::vector<std::string> Store::missing(const RunRecord& run) const {
  return missing_checkpoints(*impl_->core, run);
}

CheckpointRecord Store::find(const Address& address) const {
  try {
    return impl_->find(address);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::not_found) throw;
    std::string way_out;
    try {
      way_out = way_out_of_trash(*impl_->core, address);
    } catch (const Error&) {
      // The error that led here is the one to report.
    }
    throw Error(error.code(), error.what() + way_out);
  }
}

CheckpointRecord Store::Impl::find(const Address& address) const {
  if (address.kind == Address::Kind::alias) {
    return find_aliased(address.text, resolve_alias(*core, address.text));
  }
  if (address.run.empty()) return find_by_id(address.text);
  const RunRecord record = run(address.run);
  if (address.kind == Address::Kind::best) {
    if (auto found = best(address, record)) return std::move(*found);
  }
  return resolve(address, record, checkpoints(record), core->layout().root.string());
}

CheckpointRecord Store::find_to_remove(const Address& address) const {
  try {
    return find(address);
  } catch (const Error& error) {
    const bool has_id = address.kind == Address::Kind::id && !address.run.empty();
    if (error.code() != ErrorCode::not_found || !has_id) throw;
    const auto unlisted = unlisted_checkpoints(*impl_->core, run(address.run), address.text);
    if (unlisted.size() != 1) throw;
    return unlisted.front();
  }
}

AliasChange Store::promote(const CheckpointRecord& checkpoint, std::string_view alias,
                           const PromoteOptions& options) {
  return ckp::promote(*impl_->core, checkpoint, alias, options);
}

AliasChange Store::roll_back(std::string_view alias, const std::string& note) {
  return ckp::roll_back(*impl_->core, alias, note);
}

AliasChange Store::remove_alias(std::string_view alias, const std::string& note) {
  return ckp::remove_alias(*impl_->core, alias, note);
}

CheckpointRecord Store::tag(const CheckpointRecord& checkpoint, const Value::Map& tags) {
  std::vector<LaterFact> facts;
  for (const auto& [name, value] : tags) facts.push_back({LaterFact::Kind::tag, name, value});
  return attach(*impl_->core, checkpoint.id, facts);
}

CheckpointRecord Store::remove_tags(const CheckpointRecord& checkpoint,
                                    std::span<const std::string> names) {
  std::vector<LaterFact> facts;
  for (const std::string& name : names) facts.push_back({LaterFact::Kind::tag_removed, name});
  return attach(*impl_->core, checkpoint.id, facts);
}

CheckpointRecord Store::add_metrics(const CheckpointRecord& checkpoint,
                                    const std::map<std::string, double>& metrics) {
  std::vector<LaterFact> facts;
  for (const auto& [name, value] : metrics) {
    facts.push_back({LaterFact::Kind::metric, name, value});
  }
  return attach(*impl_->core, checkpoint.id, facts);
}

CheckpointRecord Store::note(const CheckpointRecord& checkpoint, const std::string& text) {
  const LaterFact fact{.kind = LaterFact::Kind::note, .value = text};
  return attach(*impl_->core, checkpoint.id, std::span(&fact, 1));
}

RunRecord Store::note(const RunRecord& run, const std::string& text) {
  return attach_note(*impl_->core, run, text);
}

std::vector<AliasChange> Store::alias_history() const { return read_marks(*impl_->core).aliases; }

CheckpointRecord Store::find_alias_at(std::string_view alias, std::int64_t time_ns) const {
  return impl_->find_aliased(alias, resolve_alias(*impl_->core, alias, time_ns));
}

Checkpoint Store::open_checkpoint(const CheckpointRecord& checkpoint) const {
  StoreCore& core = *impl_->core;
  for (const std::string& directory : list_run_directories(core.fs(), core.layout())) {
    if (parse_run_directory(directory) != checkpoint.run) continue;
    return Checkpoint(open_checkpoint_parts(core, directory, checkpoint));
  }
  if (const auto away = find_unreachable_run(core.fs(), core.layout(), checkpoint.run.hex())) {
    throw leads_nowhere(core.layout(), *away);
  }
  throw Error(ErrorCode::not_found,
              fmt::format("{}: run {} is gone", path().string(), checkpoint.run_name));
}

std::uint64_t Store::remove_checkpoints(std::span<const Uuid> checkpoints,
                                        const PruneOptions& options) {
  return ckp::remove_checkpoints(*impl_->core, checkpoints, options);
}

std::uint64_t Store::remove_run(std::string_view name_or_id, const PruneOptions& options) {
  return ckp::remove_run(*impl_->core, name_or_id, options);
}

PrunePlan Store::plan_prune(const KeepPolicy& policy, std::span<const std::string> runs,
                            const PruneOptions& options) const {
  return ckp::plan_prune(*impl_->core, &policy, runs, options);
}

PrunePlan Store::prune(const KeepPolicy& policy, std::span<const std::string> runs,
                       const PruneOptions& options) {
  return ckp::prune(*impl_->core, &policy, runs, options);
}

StoredPolicies Store::policies() const { return policies_of(read_marks(*impl_->core)); }

void Store::set_policy(const KeepPolicy& policy, std::string_view run) {
  ckp::set_policy(*impl_->core, policy, run);
}

void Store::clear_policy(std::string_view run) { ckp::clear_policy(*impl_->core, run); }

PrunePlan Store::plan_policy(std::span<const std::string> runs, const PruneOptions& options) const {
  return ckp::plan_prune(*impl_->core, nullptr, runs, options);
}

PrunePlan Store::apply_policy(std::span<const std::string> runs, const PruneOptions& options) {
  return ckp::prune(*impl_->core, nullptr, runs, options);
}

std::vector<TrashedCheckpoint> Store::trash() const { return list_trash(*impl_->core); }

CheckpointRecord Store::find_in_trash(const Address& address) const {
  std::optional<RunRecord> record;
  if (!address.run.empty()) record = run(address.run);
  return ckp::find_in_trash(*impl_->core, address, record);
}

std::vector<CheckpointRecord> Store::undelete(std::span<const Uuid> checkpoints) {
  return ckp::undelete(*impl_->core, checkpoints);
}

StoreHold Store::hold() { return take_hold(*impl_->core); }

StoreStats Store::stats(double waste_threshold) const {
  return take_stats(*impl_->core, waste_threshold);
}

VerifyReport Store::verify(const VerifyOptions& options) const {
  return verify_store(*impl_->core, options);
}

CheckpointRecord Store::import_file(const std::filesystem::path& file,
                                    const ImportOptions& options) {
  return ckp::import_file(impl_->core, file, options);
}

Store::RebuildReport Store::rebuild_index() {
  StoreLock lock = impl_->core->lock();
  return impl_->core->rebuild(lock);
}

}  // namespace ckp
