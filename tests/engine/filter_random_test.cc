// Random expressions: printed, parsed and evaluated, against an evaluation of the tree itself.
#include <gtest/gtest.h>

#include <functional>
#include <optional>

#include "ckp/error.h"
#include "ckp/filter.h"
#include "engine/run_samples.h"
#include "support/effort.h"
#include "support/seed.h"

namespace ckp::test {
namespace {

using Logic = std::optional<bool>;  // nothing: unknown
using FilterRandomness = std::mt19937_64;

struct FilterTree {
  std::string text;
  std::function<Logic(const RunHistory&, const CheckpointRecord&)> value;
};

std::size_t pick_below(FilterRandomness& random, std::size_t count) { return random() % count; }

std::string any_case(FilterRandomness& random, std::string word) {
  if (pick_below(random, 3) == 0) {
    for (char& c : word) c = static_cast<char>(std::toupper(c));
  }
  return word;
}

// At least one blank, of any kind.
std::string blanks(FilterRandomness& random) {
  constexpr const char* gaps[] = {" ", "  ", "\t", "\n "};
  return gaps[pick_below(random, std::size(gaps))];
}

struct NumberKey {
  std::string text;
  std::function<std::optional<double>(const RunHistory&, const CheckpointRecord&)> value;
};

std::optional<double> metric_in(const CheckpointRecord& checkpoint, const std::string& name) {
  const auto found = checkpoint.metrics.find(name);
  return found == checkpoint.metrics.end() ? std::nullopt : std::optional(found->second);
}

// The obvious way.
std::optional<double> extreme_of(const RunHistory& run, const std::string& name, bool lowest) {
  std::optional<double> found;
  for (const CheckpointRecord* one : run.line()) {
    const auto value = metric_in(*one, name);
    if (!value || !std::isfinite(*value) || !one->resumable()) continue;
    if (!found || (lowest ? *value < *found : *value > *found)) found = value;
  }
  return found;
}

NumberKey number_key(FilterRandomness& random) {
  const std::string metric = pick_below(random, 2) == 0 ? "loss" : "auc";
  switch (pick_below(random, 5)) {
    case 0:
      return {"metrics." + metric, [=](const RunHistory&, const CheckpointRecord& one) {
                return metric_in(one, metric);
              }};
    case 1:
      return {"metrics.`" + metric + "`.min", [=](const RunHistory& run, const CheckpointRecord&) {
                return extreme_of(run, metric, true);
              }};
    case 2:
      return {"metric." + metric + ".max", [=](const RunHistory& run, const CheckpointRecord&) {
                return extreme_of(run, metric, false);
              }};
    case 3:
      return {"attributes.epoch", [](const RunHistory&, const CheckpointRecord& one) {
                return std::optional(static_cast<double>(one.epoch));
              }};
    default:
      return {"params.\"depth\"",
              [](const RunHistory& run, const CheckpointRecord&) -> std::optional<double> {
                const auto found = run.run().parameters.find("depth");
                if (found == run.run().parameters.end()) return std::nullopt;
                return found->second.as_double();
              }};
  }
}

std::pair<std::string, double> number_literal(FilterRandomness& random) {
  constexpr std::pair<const char*, double> numbers[] = {
      {"0", 0}, {"1", 1},   {"+2", 2},   {"3.0", 3},        {"4e0", 4},
      {"5", 5}, {"-1", -1}, {"0.5", .5}, {"inf", HUGE_VAL}, {"-INF", -HUGE_VAL}};
  return numbers[pick_below(random, std::size(numbers))];
}

bool apply_operator(const std::string& op, double a, double b) {
  if (op == "=" || op == "==") return a == b;
  if (op == "!=") return a != b;
  if (op == "<") return a < b;
  if (op == "<=") return a <= b;
  if (op == ">") return a > b;
  return a >= b;
}

FilterTree number_tree(FilterRandomness& random) {
  const NumberKey key = number_key(random);
  constexpr const char* operators[] = {"=", "==", "!=", "<", "<=", ">", ">="};
  const std::string op = operators[pick_below(random, std::size(operators))];
  const auto [text, number] = number_literal(random);
  const std::string space = pick_below(random, 2) == 0 ? "" : blanks(random);
  const double literal = number;
  return {key.text + space + op + space + text,
          [=](const RunHistory& run, const CheckpointRecord& one) -> Logic {
            const auto value = key.value(run, one);
            return value ? Logic(apply_operator(op, *value, literal)) : std::nullopt;
          }};
}

FilterTree null_tree(FilterRandomness& random) {
  const NumberKey key = number_key(random);
  const bool wanted = pick_below(random, 2) == 0;
  return {key.text + blanks(random) + any_case(random, wanted ? "is null" : "is not null"),
          [=](const RunHistory& run, const CheckpointRecord& one) -> Logic {
            return key.value(run, one).has_value() != wanted;
          }};
}

std::optional<std::string> team_of(const RunHistory& run) {
  const auto found = run.run().tags.find("team name");
  return found == run.run().tags.end() ? std::nullopt : std::optional(found->second.as_string());
}

FilterTree list_tree(FilterRandomness& random) {
  std::set<std::string> wanted;
  std::string list;
  for (auto count = 1 + pick_below(random, 3); count > 0; --count) {
    const std::string team(1, static_cast<char>('a' + pick_below(random, 4)));
    wanted.insert(team);
    list += (list.empty() ? "" : ",") + blanks(random) + "'" + team + "'";
  }
  const bool negated = pick_below(random, 2) == 0;
  return {"tags.\"team name\" " + any_case(random, negated ? "not in" : "in") + " (" + list + ")",
          [=](const RunHistory& run, const CheckpointRecord&) -> Logic {
            const auto team = team_of(run);
            return team ? Logic(wanted.contains(*team) != negated) : std::nullopt;
          }};
}

// Backtracking, as slow as it may be.
bool like_slowly(std::string_view text, std::string_view pattern) {
  if (pattern.empty()) return text.empty();
  if (pattern[0] == '%') {
    return like_slowly(text, pattern.substr(1)) ||
           (!text.empty() && like_slowly(text.substr(1), pattern));
  }
  return !text.empty() && (pattern[0] == '_' || pattern[0] == text[0]) &&
         like_slowly(text.substr(1), pattern.substr(1));
}

FilterTree like_tree(FilterRandomness& random) {
  std::string pattern;
  for (auto count = pick_below(random, 6); count > 0; --count)
    pattern += "ab%_"[pick_below(random, 4)];
  const bool negated = pick_below(random, 3) == 0;
  return {"name " + any_case(random, negated ? "not like" : "like") + " '" + pattern + "'",
          [=](const RunHistory& run, const CheckpointRecord&) -> Logic {
            return like_slowly(run.run().name, pattern) != negated;
          }};
}

Logic logic_not(Logic value) { return value ? Logic(!*value) : value; }

Logic logic_and(Logic a, Logic b) {
  if ((a && !*a) || (b && !*b)) return false;
  return a && b ? Logic(true) : std::nullopt;
}

FilterTree random_tree(FilterRandomness& random, int depth) {
  if (depth == 0 || pick_below(random, 4) == 0) {
    switch (pick_below(random, 6)) {
      case 0:
        return list_tree(random);
      case 1:
        return like_tree(random);
      case 2:
        return null_tree(random);
      default:
        return number_tree(random);
    }
  }
  if (pick_below(random, 4) == 0) {
    const FilterTree inner = random_tree(random, depth - 1);
    return {any_case(random, "not") + blanks(random) + "(" + inner.text + ")",
            [=](const RunHistory& run, const CheckpointRecord& one) {
              return logic_not(inner.value(run, one));
            }};
  }
  const FilterTree a = random_tree(random, depth - 1), b = random_tree(random, depth - 1);
  const bool is_and = pick_below(random, 2) == 0;
  return {"(" + a.text + ")" + blanks(random) + any_case(random, is_and ? "and" : "or") +
              blanks(random) + "(" + b.text + ")",
          [=](const RunHistory& run, const CheckpointRecord& one) {
            const Logic x = a.value(run, one), y = b.value(run, one);
            return is_and ? logic_and(x, y) : logic_not(logic_and(logic_not(x), logic_not(y)));
          }};
}

// Without parentheses, so that precedence decides: ors of ands of nots.
FilterTree flat_tree(FilterRandomness& random) {
  FilterTree any = number_tree(random);
  for (auto count = 1 + pick_below(random, 4); count > 0; --count) {
    FilterTree all = number_tree(random);
    for (auto more = pick_below(random, 3); more > 0; --more) {
      const FilterTree a = all, b = number_tree(random);
      all = {a.text + " and not " + b.text,
             [=](const RunHistory& run, const CheckpointRecord& one) {
               return logic_and(a.value(run, one), logic_not(b.value(run, one)));
             }};
    }
    const FilterTree a = any;
    any = {
        a.text + " or " + all.text, [=](const RunHistory& run, const CheckpointRecord& one) {
          return logic_not(logic_and(logic_not(a.value(run, one)), logic_not(all.value(run, one))));
        }};
  }
  return any;
}

RunHistory history_for_filters(FilterRandomness& random) {
  History history = random_history(random);
  RunRecord& run = history.run;
  run.name.clear();
  for (auto count = 1 + pick_below(random, 4); count > 0; --count)
    run.name += "ab"[pick_below(random, 2)];
  if (pick_below(random, 4) != 0) {
    run.tags["team name"] = std::string(1, static_cast<char>('a' + pick_below(random, 4)));
  }
  if (pick_below(random, 4) != 0)
    run.parameters["depth"] = static_cast<std::int64_t>(pick_below(random, 6));
  return {std::move(run), std::move(history.all)};
}

void expect_same(const FilterTree& tree, const RunHistory& history) {
  const Filter filter = Filter::parse(tree.text, 0);
  bool any = false;
  for (const CheckpointRecord& one : history.checkpoints()) {
    const Logic wanted = tree.value(history, one);
    ASSERT_EQ(filter.matches(history, one), wanted == Logic(true)) << tree.text;
    any = any || wanted == Logic(true);
  }
  if (any) {
    ASSERT_FALSE(filter.excludes(history.run(), Scope::checkpoints)) << tree.text;
  }
}

TEST(FilterRandom, ExpressionsMeanWhatTheirTreesMean) {
  FilterRandomness random(seed(20301));
  for (std::uint64_t round = 0; round < effort(3000); ++round) {
    const RunHistory history = history_for_filters(random);
    expect_same(round % 3 == 0 ? flat_tree(random) : random_tree(random, 4), history);
    if (HasFatalFailure()) return;
  }
}

TEST(FilterRandom, BrokenExpressionsAreRefusedAndNothingElse) {
  FilterRandomness random(seed(20302));
  const std::string bytes = "()=<>!,'\"`.%_-+ \n\0\x80\xc3 andornot019nowis", more("\0", 1);
  std::uint64_t refused = 0, taken = 0;
  for (std::uint64_t round = 0; round < effort(5000); ++round) {
    const RunHistory history = history_for_filters(random);
    std::string text = random_tree(random, 2).text;
    for (auto edits = 1 + pick_below(random, 3); edits > 0; --edits) {
      const std::size_t at = pick_below(random, text.size() + 1);
      if (at < text.size() && pick_below(random, 2) == 0) text.erase(at, 1 + pick_below(random, 4));
      if (at > text.size() || pick_below(random, 2) == 0) continue;
      text.insert(at, 1,
                  pick_below(random, 20) == 0 ? more[0] : bytes[pick_below(random, bytes.size())]);
    }
    try {
      const Filter filter = Filter::parse(text, 0);
      for (const CheckpointRecord& one : history.checkpoints()) filter.matches(history, one);
      ++taken;
    } catch (const Error& error) {
      ASSERT_EQ(error.code(), ErrorCode::invalid_argument) << text;
      ASSERT_EQ(std::string_view(error.what()).substr(0, 7), "column ") << text;
      ++refused;
    }
  }
  EXPECT_GT(refused, 100u);
  EXPECT_GT(taken, 100u);
}

}  // namespace
}  // namespace ckp::test
