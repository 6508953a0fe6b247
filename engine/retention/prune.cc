#include "retention/prune.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>

#include "ckp/error.h"
#include "ckp/shell_word.h"
#include "retention/prune_checks.h"
#include "retention/rewrite.h"
#include "retention/stored_policy.h"
#include "store/hold.h"
#include "store/marks.h"
#include "store/reserve.h"
#include "store/run_impl.h"
#include "store/trash.h"

namespace ckp {
namespace {

// The runs that are meant: all, or by name, or by an id prefix that no run has as its name and that
// means one run only.
std::set<Uuid> choose_runs(StoreCore& core, const Snapshot& snapshot,
                           std::span<const std::string> names) {
  std::set<Uuid> chosen;
  if (names.empty()) {
    for (const RunFacts& run : snapshot.runs) {
      if (run.record) chosen.insert(run.record->id);
    }
  }
  for (const std::string& name : names) {
    const auto directory = find_run(core.fs(), core.layout(), name);
    if (!directory) throw no_such_run(core, name);
    chosen.insert(directory->run);
  }
  return chosen;
}

// A rule that matches nothing is a slip of the pen, and without it everything would go.
void check_rules(const KeepPolicy& policy, const std::vector<PruneEntry>& entries) {
  if (entries.empty()) return;
  const auto any = [&](const auto& matches) {
    return std::any_of(entries.begin(), entries.end(),
                       [&](const PruneEntry& entry) { return matches(entry.decision.checkpoint); });
  };
  for (const KeepBest& rule : policy.best) {
    if (any([&](const CheckpointRecord& c) { return c.metrics.contains(rule.metric); })) continue;
    throw Error(ErrorCode::invalid_argument,
                fmt::format("keep best: no checkpoint has a metric '{}'; nothing was deleted",
                            rule.metric));
  }
  for (const std::string& tag : policy.tags) {
    if (any([&](const CheckpointRecord& c) { return c.tags.contains(tag); })) continue;
    throw Error(ErrorCode::invalid_argument,
                fmt::format("keep tag: no checkpoint has the tag '{}'; nothing was deleted", tag));
  }
}

struct Plan {
  PrunePlan report;
  std::set<Uuid> chosen;  // runs
  Departures departures;
  Collection collection;
};

void check_trash(const PruneOptions& options) {
  if (options.trash_ns >= 0) return;
  throw Error(ErrorCode::invalid_argument, "the time in the trash is negative");
}

// What such a one needs nobody knows: as long as it was in the trash nothing could be collected.
void check_can_come_back(const StoreCore& core, const PackFacts& pack,
                         const PruneOptions& options) {
  if (options.trash_ns == 0 || pack.readable) return;
  throw Error(ErrorCode::corrupt,
              fmt::format("{}: cannot be read, so the trash could not bring it back; nothing was "
                          "deleted; save what can be saved: ckptool repair {}; or remove it for "
                          "good, without --trash",
                          pack.file.path.string(), shell_word(core.layout().root.string())));
}

// Whatever takes checkpoints away also empties the trash of what has been there long enough.
void add_trash(const StoreCore& core, const Snapshot& snapshot, const PruneOptions& options,
               Departures& departures) {
  const std::int64_t now_ns = core.clock().now_ns();
  departures.expired = expired_trash(snapshot, now_ns, options.empty_trash);
  if (options.trash_ns == 0) return;
  for (const Uuid& id : departures.going) {
    const std::int64_t saved_ns = snapshot.packs.at(id).record.created_ns;
    departures.trash_until[id] = trash_until(now_ns, saved_ns, options.trash_ns);
  }
}

Error no_policy(const StoreCore& core) {
  const std::string root = core.layout().root.string();
  return {ErrorCode::invalid_argument,
          fmt::format("{0}: no rule says what to keep, and the store has no policy, so everything "
                      "would go; nothing was deleted; give rules, as --keep-last 3, or set a "
                      "policy: ckptool policy {1} --keep-last 3; a whole run is deleted with: "
                      "ckptool rm {1} --run RUN",
                      root, shell_word(root))};
}

// Whatever the rules say.
void keep_aliased(const std::map<std::string, AliasChange>& aliases, KeepDecision& decision) {
  for (const auto& [name, change] : aliases) {
    if (change.to != decision.checkpoint.id) continue;
    if (!decision.keep) decision.reasons.clear();
    decision.keep = true;
    decision.reasons.push_back("alias " + name);
  }
}

// Null: the rules are those that the store keeps.
Plan make_plan(StoreCore& core, const Snapshot& snapshot, const KeepPolicy* policy,
               std::span<const std::string> names, const PruneOptions& options) {
  Plan plan;
  plan.chosen = choose_runs(core, snapshot, names);
  const bool only_trash = policy != nullptr && policy->empty() && options.empty_trash;
  const Marks marks = read_marks(core);
  const auto aliases = current_aliases(marks.aliases);
  const StoredPolicies stored = policy == nullptr ? policies_of(marks) : StoredPolicies{};
  if (policy == nullptr && stored.empty()) throw no_policy(core);
  const std::int64_t now_ns = core.clock().now_ns();
  for (const RunFacts& run : snapshot.runs) {
    if (only_trash || !run.record || !plan.chosen.contains(run.record->id)) continue;
    std::vector<CheckpointRecord> checkpoints = run.checkpoints;
    for (CheckpointRecord& checkpoint : checkpoints) marks.facts.apply_to(checkpoint);
    const RunRecord& record = *run.record;
    for (KeepDecision& decision :
         policy != nullptr ? decide(*policy, record, checkpoints, now_ns)
                           : decide_by_stored(stored.of(record.id), record, checkpoints, now_ns)) {
      keep_aliased(aliases, decision);
      if (!decision.keep) plan.departures.going.insert(decision.checkpoint.id);
      plan.report.entries.push_back({std::move(decision), run.record->name, 0, {}});
    }
  }
  if (policy != nullptr) check_rules(*policy, plan.report.entries);
  add_trash(core, snapshot, options, plan.departures);
  plan.collection = plan_collection(snapshot, plan.departures, options.waste_threshold);
  return plan;
}

void report_rewrites(const Snapshot& snapshot, const Collection& collection, PrunePlan& report) {
  for (const PlannedRewrite& one : collection.rewrites) {
    const RunFacts& run = snapshot.runs[snapshot.packs.at(one.pack).run];
    report.rewrites.push_back({one.pack, run.record ? run.record->name : run.directory.name,
                               one.bytes_before, one.bytes_after});
  }
}

// What is in the trash when the plan has been carried out.
void report_trash(const Snapshot& snapshot, const Plan& plan, double waste_threshold,
                  PrunePlan& report) {
  Departures emptied = plan.departures;
  emptied.trash_until.clear();
  for (const auto& [uuid, pack] : snapshot.packs) {
    const bool goes = plan.departures.trash_until.contains(uuid);
    const bool stays = pack.file.name.in_trash() && !plan.departures.expired.contains(uuid);
    if (!goes && !stays) continue;
    if (stays) emptied.expired.insert(uuid);
    if (goes) report.bytes_trashed += pack.size;
    ++report.trash_checkpoints;
    report.trash_bytes += pack.size;
  }
  report.expired = plan.departures.expired.size();
  if (report.trash_checkpoints == 0) return;
  report.trash_frees = plan_collection(snapshot, emptied, waste_threshold, plan.collection).bytes();
}

// What a plan's collection frees, or has freed.
PrunePlan report_of(const Snapshot& snapshot, Plan plan, double waste_threshold) {
  PrunePlan& report = plan.report;
  report_rewrites(snapshot, plan.collection, report);
  report_trash(snapshot, plan, waste_threshold, report);
  for (PruneEntry& entry : report.entries) {
    if (entry.decision.keep) continue;
    const Uuid& id = entry.decision.checkpoint.id;
    const std::uint64_t size = snapshot.packs.at(id).size;
    const auto until = plan.departures.trash_until.find(id);
    if (until != plan.departures.trash_until.end()) {
      entry.trash_until_ns = until->second * 1'000'000'000;
      continue;
    }
    const auto held = plan.collection.held.find(id);
    if (held == plan.collection.held.end()) {
      entry.bytes_freed = size;
      continue;
    }
    entry.held = held->second;
    const auto rewrite = std::find_if(report.rewrites.begin(), report.rewrites.end(),
                                      [&](const PackRewrite& one) { return one.pack == id; });
    const bool rewritten = rewrite != report.rewrites.end();
    entry.bytes_freed = rewritten ? rewrite->bytes_before - rewrite->bytes_after : 0;
    report.bytes_held += size - entry.bytes_freed;
  }
  report.bytes_freed = plan.collection.bytes();
  report.garbage_files = plan.collection.garbage.size() + plan.collection.doomed.size();
  for (const Uuid& id : plan.collection.doomed) {
    if (plan.departures.takes(id)) --report.garbage_files;
  }
  return std::move(report);
}

// Decided outside the lock; refused where the checks that R1 asks for fail.
Plan checked_plan(StoreCore& core, PackCache& cache, Snapshot& snapshot, const KeepPolicy* policy,
                  std::span<const std::string> runs, const PruneOptions& options) {
  snapshot = take_snapshot(core, cache);
  // One that was pruned between its listing and its reading is not listed again.
  if (has_unreadable(snapshot)) snapshot = take_snapshot(core, cache);
  Plan plan = make_plan(core, snapshot, policy, runs, options);
  check_all_readable(core, snapshot, plan.chosen, plan.departures.going);
  check_none_lost(core, snapshot, plan.departures.going);
  check_survivors(core, snapshot, plan.departures.going);
  return plan;
}

// R1 to R6, then the rewrites: `read` does R1's reading outside the lock and fills `cache`,
// `choose` makes the plan from a snapshot under it. Returns what was done.
template <class Read, class Choose>
PrunePlan carry_out(StoreCore& core, PackCache& cache, const PruneOptions& options,
                    const Read& read, const Choose& choose) {
  std::optional<DeletionLock> deletion;
  Snapshot snapshot;
  Plan plan;
  {
    const ReleasedReserve reserve(core.fs(), core.layout());  // asking the index needs space, too
    read();
    deletion.emplace(core);
    {
      StoreLock lock = core.lock();
      deletion->check_not_on_hold(lock);
      snapshot = take_snapshot(core, cache);
      plan = choose(snapshot);
      retire_and_collect(core, lock, snapshot, plan.departures, plan.collection);
    }
    unlink_dead(core, snapshot, plan.collection.doomed, plan.collection.garbage);
  }
  plan.report.notes = rewrite_packs(core, cache, plan.collection);
  return report_of(snapshot, std::move(plan), options.waste_threshold);
}

}  // namespace

void check_may_delete(const StoreCore& core, const PruneOptions& options) {
  core.check_writable();
  const FileSystemKind& kind = core.kind();
  if (!kind.remote || options.exclusive) return;
  throw Error(
      ErrorCode::unsupported,
      fmt::format("{}: the store is on a file system that others serve ({}): locks can be lost "
                  "there, and a file that is deleted here vanishes under a reader on another host; "
                  "nothing was deleted; make sure that nobody else uses the store, on no host, and "
                  "add --exclusive (PruneOptions::exclusive)",
                  core.layout().root.string(), kind.name));
}

PrunePlan plan_prune(StoreCore& core, const KeepPolicy* policy, std::span<const std::string> runs,
                     const PruneOptions& options) {
  PackCache cache;
  Snapshot snapshot;
  Plan plan = checked_plan(core, cache, snapshot, policy, runs, options);
  return report_of(snapshot, std::move(plan), options.waste_threshold);
}

PrunePlan prune(StoreCore& core, const KeepPolicy* policy, std::span<const std::string> runs,
                const PruneOptions& options) {
  check_may_delete(core, options);
  check_trash(options);
  PackCache cache;
  const auto read = [&] {
    Snapshot snapshot;
    checked_plan(core, cache, snapshot, policy, runs, options);
  };
  return carry_out(core, cache, options, read, [&](const Snapshot& snapshot) {
    Plan plan = make_plan(core, snapshot, policy, runs, options);
    check_all_readable(core, snapshot, plan.chosen, plan.departures.going);
    return plan;
  });
}

std::uint64_t remove_checkpoints(StoreCore& core, std::span<const Uuid> checkpoints,
                                 const PruneOptions& options) {
  check_may_delete(core, options);
  check_trash(options);
  const auto choose = [&](const Snapshot& snapshot) {
    Plan plan;
    for (const Uuid& id : checkpoints) {
      const auto found = snapshot.packs.find(id);
      if (found == snapshot.packs.end() && !snapshot.unreachable_runs.empty()) {
        throw leads_nowhere(core.layout(), snapshot.unreachable_runs.front());
      }
      if (found == snapshot.packs.end() || found->second.file.name.state != PackState::live) {
        throw Error(ErrorCode::not_found, fmt::format("{}: checkpoint {} is gone (pruned)",
                                                      core.layout().root.string(), id.short_hex()));
      }
      check_can_come_back(core, found->second, options);
      plan.departures.going.insert(id);
    }
    check_not_aliased(core, plan.departures.going);
    add_trash(core, snapshot, options, plan.departures);
    plan.collection = plan_collection(snapshot, plan.departures, options.waste_threshold);
    return plan;
  };
  PackCache cache;
  const auto read = [&] { choose(take_snapshot(core, cache)); };
  return carry_out(core, cache, options, read, choose).bytes_freed;
}

}  // namespace ckp
