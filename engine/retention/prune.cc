#include "retention/prune.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>

#include "ckp/error.h"
#include "retention/prune_checks.h"
#include "retention/rewrite.h"
#include "store/hold.h"
#include "store/marks.h"
#include "store/reserve.h"
#include "store/run_impl.h"

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
  std::set<Uuid> going;   // checkpoints
  Collection collection;
};

// Whatever the rules say.
void keep_aliased(const std::map<std::string, AliasChange>& aliases, KeepDecision& decision) {
  for (const auto& [name, change] : aliases) {
    if (change.to != decision.checkpoint.id) continue;
    if (!decision.keep) decision.reasons.clear();
    decision.keep = true;
    decision.reasons.push_back("alias " + name);
  }
}

Plan make_plan(StoreCore& core, const Snapshot& snapshot, const KeepPolicy& policy,
               std::span<const std::string> names, const PruneOptions& options) {
  Plan plan;
  plan.chosen = choose_runs(core, snapshot, names);
  const Marks marks = read_marks(core);
  const auto aliases = current_aliases(marks.aliases);
  for (const RunFacts& run : snapshot.runs) {
    if (!run.record || !plan.chosen.contains(run.record->id)) continue;
    std::vector<CheckpointRecord> checkpoints = run.checkpoints;
    for (CheckpointRecord& checkpoint : checkpoints) marks.facts.apply_to(checkpoint);
    for (KeepDecision& decision : decide(policy, *run.record, checkpoints, core.clock().now_ns())) {
      keep_aliased(aliases, decision);
      if (!decision.keep) plan.going.insert(decision.checkpoint.id);
      plan.report.entries.push_back({std::move(decision), run.record->name, 0, {}});
    }
  }
  check_rules(policy, plan.report.entries);
  plan.collection = plan_collection(snapshot, plan.going, options.waste_threshold);
  return plan;
}

void report_rewrites(const Snapshot& snapshot, const Collection& collection, PrunePlan& report) {
  for (const PlannedRewrite& one : collection.rewrites) {
    const RunFacts& run = snapshot.runs[snapshot.packs.at(one.pack).run];
    report.rewrites.push_back({one.pack, run.record ? run.record->name : run.directory.name,
                               one.bytes_before, one.bytes_after});
  }
}

// What a plan's collection frees, or has freed.
PrunePlan report_of(const Snapshot& snapshot, Plan plan) {
  PrunePlan& report = plan.report;
  report_rewrites(snapshot, plan.collection, report);
  for (PruneEntry& entry : report.entries) {
    if (entry.decision.keep) continue;
    const Uuid& id = entry.decision.checkpoint.id;
    const std::uint64_t size = snapshot.packs.at(id).size;
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
  for (const Uuid& id : plan.going) report.garbage_files -= plan.collection.doomed.count(id);
  return std::move(report);
}

// Decided outside the lock; refused where the checks that R1 asks for fail.
Plan checked_plan(StoreCore& core, PackCache& cache, Snapshot& snapshot, const KeepPolicy& policy,
                  std::span<const std::string> runs, const PruneOptions& options) {
  snapshot = take_snapshot(core, cache);
  // One that was pruned between its listing and its reading is not listed again.
  if (has_unreadable(snapshot)) snapshot = take_snapshot(core, cache);
  Plan plan = make_plan(core, snapshot, policy, runs, options);
  check_all_readable(core, snapshot, plan.chosen, plan.going);
  check_none_lost(core, snapshot, plan.going);
  check_survivors(core, snapshot, plan.going);
  return plan;
}

// R1 to R6, then the rewrites: `read` does R1's reading outside the lock and fills `cache`,
// `choose` makes the plan from a snapshot under it. Returns what was done.
template <class Read, class Choose>
PrunePlan carry_out(StoreCore& core, PackCache& cache, const Read& read, const Choose& choose) {
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
      retire_and_collect(core, lock, snapshot, plan.going, plan.collection);
    }
    unlink_dead(core, snapshot, plan.collection.doomed, plan.collection.garbage);
  }
  plan.report.notes = rewrite_packs(core, cache, plan.collection);
  return report_of(snapshot, std::move(plan));
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

PrunePlan plan_prune(StoreCore& core, const KeepPolicy& policy, std::span<const std::string> runs,
                     const PruneOptions& options) {
  PackCache cache;
  Snapshot snapshot;
  Plan plan = checked_plan(core, cache, snapshot, policy, runs, options);
  return report_of(snapshot, std::move(plan));
}

PrunePlan prune(StoreCore& core, const KeepPolicy& policy, std::span<const std::string> runs,
                const PruneOptions& options) {
  check_may_delete(core, options);
  PackCache cache;
  const auto read = [&] {
    Snapshot snapshot;
    checked_plan(core, cache, snapshot, policy, runs, options);
  };
  return carry_out(core, cache, read, [&](const Snapshot& snapshot) {
    Plan plan = make_plan(core, snapshot, policy, runs, options);
    check_all_readable(core, snapshot, plan.chosen, plan.going);
    return plan;
  });
}

std::uint64_t remove_checkpoints(StoreCore& core, std::span<const Uuid> checkpoints,
                                 const PruneOptions& options) {
  check_may_delete(core, options);
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
      plan.going.insert(id);
    }
    check_not_aliased(core, plan.going);
    plan.collection = plan_collection(snapshot, plan.going, options.waste_threshold);
    return plan;
  };
  PackCache cache;
  const auto read = [&] { choose(take_snapshot(core, cache)); };
  return carry_out(core, cache, read, choose).bytes_freed;
}

}  // namespace ckp
