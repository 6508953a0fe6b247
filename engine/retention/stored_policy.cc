#include "retention/stored_policy.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "ckp/error.h"
#include "ckp/shell_word.h"
#include "io/host.h"
#include "runs/field_reader.h"
#include "store/run_impl.h"
#include "store/run_scan.h"

namespace ckp {
namespace {

Value::Map best_to_map(const KeepBest& rule) {
  Value::Map map{{"count", std::int64_t{rule.count}}, {"metric", rule.metric}};
  if (rule.better) map.emplace("better", *rule.better == Better::lower ? "lower" : "higher");
  if (!rule.pending) map.emplace("pending", false);
  return map;
}

// Only the rules that there are: a version that does not know of one sees that it does not.
Value::Map rules_to_map(const KeepPolicy& policy) {
  Value::Map map;
  const auto put = [&](const char* name, std::int64_t number) {
    if (number != 0) map.emplace(name, number);
  };
  put("last", policy.last);
  put("every_epochs", policy.every_epochs);
  put("every_steps", policy.every_steps);
  put("within_ns", policy.within_ns);
  put("daily", policy.daily);
  Value::List best, tags;
  for (const KeepBest& rule : policy.best) best.emplace_back(best_to_map(rule));
  for (const std::string& tag : policy.tags) tags.emplace_back(tag);
  if (!best.empty()) map.emplace("best", std::move(best));
  if (!tags.empty()) map.emplace("tags", std::move(tags));
  return map;
}

void check_known(const Value::Map& map, std::initializer_list<std::string_view> known) {
  for (const auto& [name, value] : map) {
    if (std::ranges::find(known, name) != known.end()) continue;
    throw Error(ErrorCode::newer_format,
                fmt::format("the policy that the store keeps has '{}', of which this version does "
                            "not know; use a newer ckpstore, or give prune its rules",
                            name));
  }
}

KeepBest best_from(const Value& value) {
  const FieldReader fields(value, "policy");
  check_known(value.as_map(), {"count", "metric", "better", "pending"});
  KeepBest rule;
  fields.read("count", rule.count);
  fields.read("metric", rule.metric);
  fields.read("pending", rule.pending);
  const std::string* better = fields.text("better");
  if (better == nullptr) return rule;
  if (*better != "lower" && *better != "higher")
    fields.refuse("better", "lower or higher", *better);
  rule.better = *better == "lower" ? Better::lower : Better::higher;
  return rule;
}

KeepPolicy rules_from(const Value::Map& map) {
  check_known(map, {"last", "every_epochs", "every_steps", "within_ns", "daily", "best", "tags"});
  const FieldReader fields(map, "policy");
  KeepPolicy policy;
  fields.read("last", policy.last);
  fields.read("every_epochs", policy.every_epochs);
  fields.read("every_steps", policy.every_steps);
  fields.read("within_ns", policy.within_ns);
  fields.read("daily", policy.daily);
  fields.read("tags", policy.tags);
  if (const Value::List* best = fields.list("best")) {
    for (const Value& rule : *best) policy.best.push_back(best_from(rule));
  }
  return policy;
}

void change_policy(StoreCore& core, std::string_view run, std::optional<Value::Map> rules) {
  change_marks(core, [&](Marks& marks) {
    PolicyChange change;
    if (!run.empty()) {
      const auto directory = find_run(core.fs(), core.layout(), run);
      if (!directory) throw no_such_run(core, run);
      change.run = directory->run;
    }
    change.rules = std::move(rules);
    change.time_ns = core.clock().now_ns();
    change.who = fmt::format("{}@{}", user_name(), host_name());
    marks.policies.push_back(std::move(change));
  });
}

bool has_any_tag(const CheckpointRecord& checkpoint, const std::vector<std::string>& tags) {
  return std::ranges::any_of(tags,
                             [&](const std::string& tag) { return checkpoint.tags.contains(tag); });
}

// Why a stored policy does not decide about this run yet; or empty.
std::string reason_to_wait(const KeepPolicy& policy, const RunRecord& run,
                           std::span<const CheckpointRecord> checkpoints) {
  for (const KeepBest& rule : policy.best) {
    const bool is_there = std::ranges::any_of(
        checkpoints, [&](const auto& one) { return one.metrics.contains(rule.metric); });
    if (!is_there) return fmt::format("no checkpoint of the run has {} yet", rule.metric);
    if (!rule.better && !run.directions.contains(rule.metric)) {
      return fmt::format("the run does not declare whether a lower or a higher {} is better",
                         rule.metric);
    }
  }
  KeepPolicy others = policy;
  others.tags.clear();
  const bool is_there = std::ranges::any_of(
      checkpoints, [&](const auto& one) { return has_any_tag(one, policy.tags); });
  return others.empty() && !is_there ? "no checkpoint of the run has such a tag yet" : "";
}

std::vector<KeepDecision> keep_all(std::span<const CheckpointRecord> checkpoints,
                                   const std::string& reason) {
  std::vector<KeepDecision> decisions;
  for (const CheckpointRecord& one : checkpoints) decisions.push_back({one, true, {reason}});
  std::ranges::stable_sort(decisions, {}, [](const auto& one) { return one.checkpoint.commit; });
  return decisions;
}

}  // namespace

const StoredPolicy* StoredPolicies::of(const Uuid& run) const {
  const auto own = runs.find(run);
  if (own != runs.end()) return &own->second;
  return store ? &*store : nullptr;
}

StoredPolicies policies_of(const Marks& marks) {
  // The last of each: what an earlier one says need not be understood.
  std::map<std::optional<Uuid>, const PolicyChange*> last;
  for (const PolicyChange& change : marks.policies) last[change.run] = &change;
  StoredPolicies policies;
  for (const auto& [run, change] : last) {
    if (!change->rules) continue;
    StoredPolicy policy{rules_from(*change->rules), change->time_ns, change->who};
    if (run) {
      policies.runs.emplace(*run, std::move(policy));
    } else {
      policies.store = std::move(policy);
    }
  }
  return policies;
}

void set_policy(StoreCore& core, const KeepPolicy& policy, std::string_view run) {
  check_policy(policy);
  for (const KeepBest& rule : policy.best) {
    if (!rule.metric.empty()) continue;
    throw Error(ErrorCode::invalid_argument,
                fmt::format("keep best {}: a policy that the store keeps names the metric, as in "
                            "{}:val/loss:min",
                            rule.count, rule.count));
  }
  change_policy(core, run, rules_to_map(policy));
}

void clear_policy(StoreCore& core, std::string_view run) { change_policy(core, run, std::nullopt); }

std::vector<KeepDecision> decide_by_stored(const StoredPolicy* policy, const RunRecord& run,
                                           std::span<const CheckpointRecord> checkpoints,
                                           std::int64_t now_ns) {
  if (policy == nullptr) return keep_all(checkpoints, "no policy");
  if (const std::string why = reason_to_wait(policy->keep, run, checkpoints); !why.empty()) {
    return keep_all(checkpoints, why);
  }
  return decide(policy->keep, run, checkpoints, now_ns);
}

}  // namespace ckp
