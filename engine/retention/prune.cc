#include "retention/prune.h"

#include <fmt/format.h>

#include <algorithm>

#include "ckp/error.h"
#include "retention/collect.h"
#include "store/reserve.h"
#include "store/run_impl.h"

namespace ckp {
namespace {

bool is_chosen(const RunFacts& run, std::span<const std::string> names) {
  if (!run.record) return false;
  if (names.empty()) return true;
  return std::any_of(names.begin(), names.end(), [&](const std::string& name) {
    return run.record->name == name || (name.size() >= 4 && run.record->id.hex().starts_with(name));
  });
}

void check_names(StoreCore& core, const Snapshot& snapshot, std::span<const std::string> names) {
  for (const std::string& name : names) {
    const auto matches = [&](const RunFacts& run) { return is_chosen(run, std::span(&name, 1)); };
    if (std::none_of(snapshot.runs.begin(), snapshot.runs.end(), matches)) {
      throw no_such_run(core, name);
    }
  }
}

struct Plan {
  PrunePlan report;
  std::set<Uuid> going;
  Collection collection;
};

Plan make_plan(StoreCore& core, const Snapshot& snapshot, const KeepPolicy& policy,
               std::span<const std::string> names) {
  check_names(core, snapshot, names);
  Plan plan;
  for (const RunFacts& run : snapshot.runs) {
    if (!is_chosen(run, names)) continue;
    for (KeepDecision& decision :
         decide(policy, *run.record, run.checkpoints, core.clock().now_ns())) {
      if (!decision.keep) plan.going.insert(decision.checkpoint.id);
      plan.report.entries.push_back({std::move(decision), run.record->name, 0, {}});
    }
  }
  plan.collection = plan_collection(snapshot, plan.going);
  for (PruneEntry& entry : plan.report.entries) {
    if (entry.decision.keep) continue;
    const Uuid& id = entry.decision.checkpoint.id;
    const auto held = plan.collection.held.find(id);
    if (held == plan.collection.held.end()) {
      entry.bytes_freed = snapshot.packs.at(id).size;
    } else {
      entry.held = held->second;
      plan.report.bytes_held += snapshot.packs.at(id).size;
    }
  }
  plan.report.bytes_freed = plan.collection.bytes;
  plan.report.garbage_files = plan.collection.garbage.size() + plan.collection.doomed.size();
  for (const Uuid& id : plan.going) plan.report.garbage_files -= plan.collection.doomed.count(id);
  return plan;
}

// R1 to R6: `choose` makes the plan from a snapshot; it runs once more under the lock.
template <class Choose>
Plan carry_out(StoreCore& core, const Choose& choose) {
  PackCache cache;
  choose(take_snapshot(core, cache));  // R1: the reading happens here, and mistakes are noticed
  const ReleasedReserve reserve(core.fs(), core.layout());
  Snapshot snapshot;
  Plan plan;
  {
    StoreLock lock = core.lock();
    snapshot = take_snapshot(core, cache);
    plan = choose(snapshot);
    retire_and_collect(core, lock, snapshot, plan.going, plan.collection);
  }
  unlink_dead(core, snapshot, plan.collection.doomed, plan.collection.garbage);
  return plan;
}

}  // namespace

PrunePlan plan_prune(StoreCore& core, const KeepPolicy& policy, std::span<const std::string> runs) {
  PackCache cache;
  return make_plan(core, take_snapshot(core, cache), policy, runs).report;
}

PrunePlan prune(StoreCore& core, const KeepPolicy& policy, std::span<const std::string> runs) {
  const auto choose = [&](const Snapshot& snapshot) {
    return make_plan(core, snapshot, policy, runs);
  };
  return carry_out(core, choose).report;
}

std::uint64_t remove_checkpoints(StoreCore& core, std::span<const Uuid> checkpoints) {
  const auto choose = [&](const Snapshot& snapshot) {
    Plan plan;
    for (const Uuid& id : checkpoints) {
      const auto found = snapshot.packs.find(id);
      if (found == snapshot.packs.end() || found->second.file.name.state != PackState::live) {
        throw Error(ErrorCode::not_found, fmt::format("{}: checkpoint {} is gone (pruned)",
                                                      core.layout().root.string(), id.short_hex()));
      }
      plan.going.insert(id);
    }
    plan.collection = plan_collection(snapshot, plan.going);
    return plan;
  };
  return carry_out(core, choose).collection.bytes;
}

}  // namespace ckp
