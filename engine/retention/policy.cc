#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <map>
#include <set>

#include "ckp/error.h"
#include "ckp/query.h"
#include "ckp/retention.h"

namespace ckp {
namespace {

constexpr std::int64_t second_ns = 1'000'000'000;
constexpr std::int64_t longest_pending_ns = 24 * 3'600 * second_ns;

struct Unit {
  char letter;
  std::int64_t ns;
};
// From the largest to the smallest.
constexpr Unit units[] = {{'w', 7 * 86'400 * second_ns},
                          {'d', 86'400 * second_ns},
                          {'h', 3'600 * second_ns},
                          {'m', 60 * second_ns},
                          {'s', second_ns}};

[[noreturn]] void bad_rule(std::string_view option, std::string_view text,
                           std::string_view expected) {
  throw Error(ErrorCode::invalid_argument,
              fmt::format("{} \"{}\": expected {}", option, text, expected));
}

// A positive number without sign, or nothing.
template <class Integer>
std::optional<Integer> parse_count(std::string_view text) {
  Integer number = 0;
  const auto end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, number);
  if (result.ec != std::errc() || result.ptr != end || number <= 0) return std::nullopt;
  return number;
}

bool looks_numeric(std::string_view text) {
  return !text.empty() && text.find_first_not_of("+-0123456789") == std::string_view::npos;
}

// Reasons to keep, by checkpoint.
class Reasons {
 public:
  void add(const CheckpointRecord& checkpoint, std::string reason) {
    reasons_[checkpoint.id].push_back(std::move(reason));
  }
  const std::vector<std::string>* of(const CheckpointRecord& checkpoint) const {
    const auto found = reasons_.find(checkpoint.id);
    return found == reasons_.end() ? nullptr : &found->second;
  }

 private:
  std::map<Uuid, std::vector<std::string>> reasons_;
};

using Line = std::span<const CheckpointRecord>;

void keep_last(std::uint32_t count, Line line, Reasons& reasons) {
  std::uint32_t rank = 0;
  for (auto one = line.rbegin(); one != line.rend() && rank < count; ++one) {
    if (one->resumable()) reasons.add(*one, fmt::format("last {} of {}", ++rank, count));
  }
}

struct Ranking {
  std::string metric;
  Better better;
};

Ranking ranking_of(const KeepBest& rule, const RunRecord& run) {
  const std::string metric = rule.metric.empty() ? run.best_metric : rule.metric;
  if (metric.empty()) {
    throw Error(ErrorCode::invalid_argument,
                fmt::format("keep best {}: run {} declares no best metric; name one, as in "
                            "{}:val/loss:min",
                            rule.count, run.name, rule.count));
  }
  if (rule.better) return {metric, *rule.better};
  const auto declared = run.directions.find(metric);
  if (declared != run.directions.end()) return {metric, declared->second};
  throw Error(ErrorCode::invalid_argument,
              fmt::format("keep best {}:{}: run {} does not declare whether a lower or a higher {} "
                          "is better; say {}:{}:min or :max",
                          rule.count, metric, run.name, metric, rule.count, metric));
}

// A metric may come later: from an evaluation that runs beside the training. Until then nobody
// knows whether the checkpoint is among the best. One that a later checkpoint has overtaken, or
// that has waited for a day, waits no longer.
void keep_pending(const std::string& metric, Line line, std::int64_t now_ns, Reasons& reasons) {
  for (auto one = line.rbegin(); one != line.rend(); ++one) {
    if (one->metrics.contains(metric)) return;
    // A time in the future is a clock that was wrong: kept, as by keep_marked_or_young.
    if (!one->resumable() || one->created_ns <= now_ns - longest_pending_ns) continue;
    reasons.add(*one, fmt::format("pending: no {} yet", metric));
  }
}

void keep_best(const KeepBest& rule, const RunRecord& run, Line line, std::int64_t now_ns,
               Reasons& reasons) {
  const Ranking ranking = ranking_of(rule, run);
  std::vector<std::pair<double, const CheckpointRecord*>> ranked;
  for (const CheckpointRecord& checkpoint : line) {
    const auto found = checkpoint.metrics.find(ranking.metric);
    if (!checkpoint.resumable() || found == checkpoint.metrics.end()) continue;
    if (std::isfinite(found->second)) ranked.emplace_back(found->second, &checkpoint);
  }
  // Stable: ties go to the earlier.
  std::stable_sort(ranked.begin(), ranked.end(), [&](const auto& a, const auto& b) {
    return ranking.better == Better::lower ? a.first < b.first : a.first > b.first;
  });
  ranked.resize(std::min<std::size_t>(ranked.size(), rule.count));
  std::uint32_t rank = 0;
  for (const auto& [value, checkpoint] : ranked) {
    reasons.add(*checkpoint, fmt::format("best {} by {}:{}", ++rank, ranking.metric,
                                         ranking.better == Better::lower ? "min" : "max"));
  }
  if (rule.count > 0 && rule.pending) keep_pending(ranking.metric, line, now_ns, reasons);
}

// An epoch may have many saves, by steps: the last stands for it, a resumable one if there is one.
void keep_every_epochs(std::int64_t epochs, Line line, Reasons& reasons) {
  std::map<std::int64_t, const CheckpointRecord*> last;
  for (const CheckpointRecord& one : line) {
    if (one.epoch % epochs != 0) continue;
    const CheckpointRecord*& chosen = last[one.epoch];
    if (chosen == nullptr || !chosen->resumable() || one.resumable()) chosen = &one;
  }
  for (const auto& [epoch, one] : last) reasons.add(*one, fmt::format("every {} epochs", epochs));
}

void keep_every(const KeepPolicy& policy, Line line, Reasons& reasons) {
  if (policy.every_epochs > 0) keep_every_epochs(policy.every_epochs, line, reasons);
  for (const CheckpointRecord& one : line) {
    if (policy.every_steps > 0 && one.step % policy.every_steps == 0) {
      reasons.add(one, fmt::format("every {} steps", policy.every_steps));
    }
  }
}

// The days of the newest checkpoints count, whether or not there was anything on those between
// them.
void keep_daily(std::uint32_t days, Line line, std::int64_t now_ns, Reasons& reasons) {
  if (days == 0) return;
  const auto day_of = [](std::int64_t ns) {
    return std::chrono::floor<std::chrono::days>(
        std::chrono::sys_time<std::chrono::nanoseconds>(std::chrono::nanoseconds(ns)));
  };
  std::map<std::chrono::sys_days, const CheckpointRecord*> last;
  for (const CheckpointRecord& one : line) {
    if (one.created_ns > now_ns) {  // a clock that was wrong: it must not take a day's place
      reasons.add(one, "daily: saved in the future");
    } else if (one.resumable()) {
      last[day_of(one.created_ns)] = &one;
    }
  }
  std::uint32_t count = 0;
  for (auto day = last.rbegin(); day != last.rend() && count < days; ++day, ++count) {
    const std::chrono::year_month_day date(day->first);
    reasons.add(*day->second, fmt::format("daily {}-{:02}-{:02}", static_cast<int>(date.year()),
                                          static_cast<unsigned>(date.month()),
                                          static_cast<unsigned>(date.day())));
  }
}

// The two rules that look at superseded checkpoints, too: somebody marked it, or it is too fresh
// for anybody to have looked at it.
void keep_marked_or_young(const KeepPolicy& policy, const CheckpointRecord& one,
                          std::int64_t now_ns, Reasons& reasons) {
  // A time in the future is a clock that was wrong: kept, never reasoned with.
  if (policy.within_ns > 0 && one.created_ns > now_ns - policy.within_ns) {
    reasons.add(one, fmt::format("within {}", duration_text(policy.within_ns)));
  }
  for (const std::string& tag : policy.tags) {
    if (one.tags.contains(tag)) reasons.add(one, fmt::format("tag {}", tag));
  }
}

}  // namespace

void check_policy(const KeepPolicy& policy) {
  if (policy.every_epochs < 0 || policy.every_steps < 0 || policy.within_ns < 0) {
    throw Error(ErrorCode::invalid_argument,
                fmt::format("keep policy: negative number (every_epochs {}, every_steps {}, "
                            "within_ns {})",
                            policy.every_epochs, policy.every_steps, policy.within_ns));
  }
  if (policy.empty()) {
    throw Error(
        ErrorCode::invalid_argument,
        "keep policy: no rule is given, which would delete nearly everything; give at least "
        "one of keep-last, keep-best, keep-every, keep-within, keep-daily, keep-tag");
  }
}

bool KeepPolicy::empty() const {
  return last == 0 && every_epochs == 0 && every_steps == 0 && within_ns == 0 && daily == 0 &&
         tags.empty() && std::all_of(best.begin(), best.end(), [](const KeepBest& rule) {
           return rule.count == 0;
         });
}

void parse_keep_every(std::string_view text, KeepPolicy& policy) {
  const char unit = text.empty() ? '\0' : text.back();
  const auto count = parse_count<std::int64_t>(text.substr(0, text.empty() ? 0 : text.size() - 1));
  if (!count || (unit != 'e' && unit != 's')) {
    bad_rule("--keep-every", text, "a positive number of epochs or steps, as in 10e or 500s");
  }
  std::int64_t& rule = unit == 'e' ? policy.every_epochs : policy.every_steps;
  if (rule != 0 && rule != *count) {
    bad_rule("--keep-every", text,
             fmt::format("one rule for {}, and {}{} was given before",
                         unit == 'e' ? "epochs" : "steps", rule, unit));
  }
  rule = *count;
}

std::int64_t parse_duration_ns(std::string_view text) {
  const auto unit = std::find_if(std::begin(units), std::end(units), [&](const Unit& one) {
    return !text.empty() && one.letter == text.back();
  });
  if (unit != std::end(units)) {
    const auto count = parse_count<std::int64_t>(text.substr(0, text.size() - 1));
    if (count && *count <= INT64_MAX / unit->ns) return *count * unit->ns;
  }
  bad_rule("duration", text,
           "a positive number of weeks, days, hours, minutes or seconds, as in 2w, 7d, 12h, 30m or "
           "90s (at most 292 years)");
}

std::string duration_text(std::int64_t ns) {
  for (const Unit& unit : units) {
    if (ns % unit.ns == 0) return fmt::format("{}{}", ns / unit.ns, unit.letter);
  }
  return fmt::format("{} ns", ns);
}

KeepBest parse_keep_best(std::string_view text) {
  constexpr std::string_view expected =
      "[COUNT:]METRIC[:min|max], as in 2:val/loss:min or val/loss";
  KeepBest rule;
  std::string_view metric = text;
  const auto first = text.find(':');
  if (first != std::string_view::npos && looks_numeric(text.substr(0, first))) {
    const auto count = parse_count<std::uint32_t>(text.substr(0, first));
    if (!count) bad_rule("--keep-best", text, expected);
    rule.count = *count;
    metric.remove_prefix(first + 1);
  }
  for (const auto& [suffix, better] :
       {std::pair{":min", Better::lower}, std::pair{":max", Better::higher}}) {
    if (!rule.better && metric.ends_with(suffix)) {
      rule.better = better;
      metric.remove_suffix(4);
    }
  }
  if (metric.empty() || metric.back() == ':' || looks_numeric(metric)) {
    bad_rule("--keep-best", text, expected);
  }
  rule.metric = metric;
  return rule;
}

std::vector<KeepDecision> decide(const KeepPolicy& policy, const RunRecord& run,
                                 std::span<const CheckpointRecord> checkpoints,
                                 std::int64_t now_ns) {
  check_policy(policy);
  const std::vector<CheckpointRecord> line = current_line(run, checkpoints);
  std::set<Uuid> current;
  for (const CheckpointRecord& one : line) current.insert(one.id);

  Reasons reasons;
  if (const auto newest = newest_resumable(line)) reasons.add(*newest, "newest resumable");
  keep_last(policy.last, line, reasons);
  for (const KeepBest& rule : policy.best) keep_best(rule, run, line, now_ns, reasons);
  keep_every(policy, line, reasons);
  keep_daily(policy.daily, line, now_ns, reasons);
  for (const CheckpointRecord& one : checkpoints) {
    keep_marked_or_young(policy, one, now_ns, reasons);
    if (one.salvaged_from) reasons.add(one, "salvaged by a repair: goes only by name");
  }

  std::vector<KeepDecision> decisions;
  for (const CheckpointRecord& one : checkpoints) {
    KeepDecision decision{one, false, {}};
    if (const auto* why = reasons.of(one)) {
      decision.keep = true;
      decision.reasons = *why;
    } else {
      decision.reasons = {current.contains(one.id) ? "no rule keeps it" : "superseded"};
    }
    decisions.push_back(std::move(decision));
  }
  std::stable_sort(decisions.begin(), decisions.end(), [](const auto& a, const auto& b) {
    return a.checkpoint.commit < b.checkpoint.commit;
  });
  return decisions;
}

}  // namespace ckp
