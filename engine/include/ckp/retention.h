// Which checkpoints stay: the policy, and the decision with its reason for each checkpoint.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ckp/records.h"

namespace ckp {

struct KeepBest {
  std::uint32_t count = 1;
  std::string metric = {};
  std::optional<Better> better = {};  // empty: the run's declared direction, else an error
  // A checkpoint without the metric is pending, and kept: until a later one of the current line has
  // it, or for 24 hours from its save. False: the metric comes with the save, or never.
  bool pending = true;
};

// Rules are ORed, and applied to each run by itself.
struct KeepPolicy {
  std::uint32_t last = 0;  // newest resumable checkpoints of the current line
  std::vector<KeepBest> best = {};
  std::int64_t every_epochs = 0;  // epoch divisible by this: the last (finite) one of that epoch
  std::int64_t every_steps = 0;   // step divisible by this
  std::int64_t within_ns = 0;     // younger than this; a time in the future counts as young
  // The last resumable one of each of this many calendar days (UTC), the newest that have any. A
  // time in the future is of no day, and kept.
  std::uint32_t daily = 0;
  std::vector<std::string> tags = {};  // carries one of these tags
  bool empty() const;
};

// Throws Error(invalid_argument) for a policy without rules, and for negative numbers.
void check_policy(const KeepPolicy& policy);

// "10e", "500s": for --keep-every. "7d", "12h", "30m": for --keep-within. "2:val/loss:min",
// "val/loss", "1:val/auc:max" for --keep-best. Throw Error(invalid_argument) with the expected
// form.
void parse_keep_every(std::string_view text, KeepPolicy& policy);
std::int64_t parse_duration_ns(std::string_view text);
std::string duration_text(std::int64_t ns);  // "7d": the largest unit that divides it
KeepBest parse_keep_best(std::string_view text);

// {"last 2", "best 3", "every 10 epochs"}, and "best 1 val/auc:max", "every 500 steps", "within
// 7d", "daily 7", "tag NAME". Without rules the policy is empty. Throws Error(invalid_argument)
// with the forms.
KeepPolicy parse_keep_rules(std::span<const std::string> rules);

// A policy that a store keeps: it decides where no rules are given (Store::set_policy).
struct StoredPolicy {
  KeepPolicy keep;
  std::int64_t time_ns = 0;  // UTC, by the clock of whoever set it
  std::string who;           // "user@host"
};
struct StoredPolicies {
  std::optional<StoredPolicy> store = {};  // of every run that has none of its own
  std::map<Uuid, StoredPolicy> runs = {};  // by run, those that are gone included
  bool empty() const { return !store && runs.empty(); }
  // The one that decides about this run, or null.
  const StoredPolicy* of(const Uuid& run) const;
};

struct KeepDecision {
  CheckpointRecord checkpoint;
  bool keep = false;
  // Why kept ("last 1", "best 1 by val/loss:min", "pending: no val/auc yet", "newest resumable"),
  // or why deleted ("no rule keeps it", "superseded").
  std::vector<std::string> reasons;
};

// Decides for all checkpoints of one run, in commit order. The newest resumable checkpoint of
// the current line is always kept. A newer one that is nonfinite or was saved inside a step is
// judged by the rules like any other. Throws Error(invalid_argument) for an empty policy.
std::vector<KeepDecision> decide(const KeepPolicy& policy, const RunRecord& run,
                                 std::span<const CheckpointRecord> checkpoints,
                                 std::int64_t now_ns);

}  // namespace ckp
