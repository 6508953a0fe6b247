#include "query/indexed_search.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <queue>
#include <tuple>
#include <unordered_map>

#include "query/attributes.h"
#include "query/expression.h"
#include "query/first_rows.h"
#include "query/search.h"

namespace ckp {
namespace {

using MetricRanges = std::map<std::string, ValueRange>;

bool is_number(const Operand& operand) {
  return (operand.kind == Operand::Kind::integer || operand.kind == Operand::Kind::number) &&
         !operand.is_nan();
}

// The numbers that a comparison leaves, or more; nothing when it is not of that sort.
std::optional<ValueRange> range_of(const Comparison& comparison) {
  if (comparison.negated || comparison.literals.empty()) return std::nullopt;
  ValueRange all{std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()};
  for (const Literal& literal : comparison.literals) {
    const Operand operand = literal.operand();
    if (!is_number(operand)) return std::nullopt;
    all.low = std::min(all.low, operand.number);
    all.high = std::max(all.high, operand.number);
  }
  switch (comparison.op) {
    case Comparison::Operator::equal:
    case Comparison::Operator::in:
      return all;
    case Comparison::Operator::less:
    case Comparison::Operator::less_equal:
      return ValueRange{.high = all.high};
    case Comparison::Operator::greater:
    case Comparison::Operator::greater_equal:
      return ValueRange{.low = all.low};
    case Comparison::Operator::like:
    case Comparison::Operator::ilike:
    case Comparison::Operator::is_null:
      break;
  }
  return std::nullopt;
}

void narrow(const Expression& member, MetricRanges& ranges) {
  if (member.kind != Expression::Kind::comparison) return;
  const Key& key = member.comparison.key;
  if (key.kind != Key::Kind::metric || key.pick) return;
  const auto range = range_of(member.comparison);
  if (!range) return;
  ValueRange& known = ranges[key.name];
  known.low = std::max(known.low, range->low);
  known.high = std::min(known.high, range->high);
}

// What a checkpoint must have of each metric to match: by the members of the outermost `and`.
MetricRanges ranges_of(const Filter& filter) {
  MetricRanges ranges;
  const Expression* const root = filter.expression();
  if (root == nullptr) return ranges;
  if (root->kind == Expression::Kind::all_of) {
    for (const Expression& member : root->children) narrow(member, ranges);
  } else {
    narrow(*root, ranges);
  }
  return ranges;
}

bool is_ordered_by_metric(const Search& search) {
  return !search.order.empty() && search.order.front().key.kind == Key::Kind::metric &&
         !search.order.front().key.pick;
}

// Of keys that only all of a run's checkpoints tell.
bool hangs_on_all(const Key& key) {
  return key.pick == RunHistory::Pick::last ||
         (key.attribute != nullptr && key.attribute->from == Attribute::From::history);
}

// Uuids are random.
struct UuidHash {
  std::size_t operator()(const Uuid& id) const {
    std::size_t bits = 0;
    std::memcpy(&bits, id.bytes.data(), sizeof bits);
    return bits;
  }
};

// A run that the filter does not rule out by its record.
struct Candidate {
  std::size_t position = 0;
  SharedRun run;
  std::shared_ptr<ViewSource> source = {};
  std::unique_ptr<RunHistory> history = {};
};

struct Match {
  Candidate* run;
  CheckpointRecord checkpoint;
};

class IndexedSearch {
 public:
  IndexedSearch(const Search& search, SearchView& view, const SearchEffort& effort)
      : search_(search), view_(view), effort_(effort), ranges_(ranges_of(search.where)) {
    std::erase_if(ranges_, [&](const auto& one) { return !view_.has_order_of(one.first); });
  }

  std::optional<std::vector<FoundCheckpoint>> answer(const RunList& runs) {
    if (search_.limit == 0) return std::vector<FoundCheckpoint>{};
    if (!find_candidates(runs)) return std::nullopt;
    if (is_ordered_by_metric(search_) && search_.limit != SIZE_MAX &&
        view_.has_order_of(search_.order.front().key.name)) {
      if (candidates_.size() > effort_.few_runs &&
          attempt(effort_.walk, [&] { return walk_all(); })) {
        return take();
      }
      if (attempt(effort_.each, [&] { return walk_each(); })) return take();
    }
    const bool first_ones = search_.order.empty() && search_.limit != SIZE_MAX;
    const bool few = candidates_.size() <= effort_.few_runs;
    if (first_ones && few && attempt(effort_.each, [&] { return run_by_run(); })) return take();
    for (const auto& one : ranges_) {
      if (attempt(effort_.each, [&] { return take_range(one.first, one.second); })) return take();
    }
    if (first_ones && !few && attempt(effort_.each, [&] { return run_by_run(); })) return take();
    return std::nullopt;
  }

 private:
  // False when a run is there twice: whoever asks so gets its checkpoints twice.
  bool find_candidates(const RunList& runs) {
    for (std::size_t i = 0; i < runs.size(); ++i) {
      if (search_.where.excludes(*runs[i], Scope::checkpoints)) continue;
      candidates_.push_back({i, runs[i]});
    }
    by_id_.reserve(candidates_.size());
    for (Candidate& one : candidates_) {
      if (!by_id_.emplace(one.run->id, &one).second) return false;
    }
    return true;
  }

  // A way to find all that may be among the results: false when it cannot, or costs too much.
  template <class Way>
  bool attempt(const ReadBudget& budget, Way way) {
    matches_.clear();
    budget_ = budget;
    return way() && !budget_.spent;
  }

  ViewSource& source_of(Candidate& run) {
    if (run.source == nullptr) {
      run.source = std::make_shared<ViewSource>(*run.run, view_, budget_);
    }
    return *run.source;
  }

  const RunHistory& history_of(Candidate& run) {
    if (run.history == nullptr) {
      source_of(run);
      run.history = std::make_unique<RunHistory>(run.source, run.run);
    }
    return *run.history;
  }

  template <class Place>
  bool counts(Candidate& run, const Place& place) {
    return search_.superseded || source_of(run).on_line(place);
  }

  bool consider(Candidate& run, CheckpointRecord checkpoint) {
    if (!search_.where.matches(history_of(run), checkpoint)) return false;
    matches_.push_back({&run, std::move(checkpoint)});
    return true;
  }

  // Whether it matched. False also when the budget is spent.
  bool consider(Candidate& run, const MetricEntry& entry) {
    if (!counts(run, entry) || !budget_.take_record()) return false;
    return consider(run, view_.checkpoint(entry));
  }

  const std::string& metric() const { return search_.order.front().key.name; }
  bool falling() const { return search_.order.front().descending; }
  ValueRange metric_range() const {
    const auto found = ranges_.find(metric());
    return found == ranges_.end() ? ValueRange{} : found->second;
  }
  // Whether the matches are all there can be, or enough of them: what has no value of the metric,
  // or NaN, comes last in either direction.
  bool have_enough() const {
    return ranges_.contains(metric()) || matches_.size() >= search_.limit;
  }

  // All runs' values in order, until the limit is reached and the last value is through: equal ones
  // may be ordered by other keys, or by their place.
  bool walk_all() {
    double last = 0;
    view_.by_value(metric(), metric_range(), falling(), [&](const MetricEntry& entry) {
      if (matches_.size() >= search_.limit && entry.value != last) return false;
      if (!budget_.take_entry()) return false;
      const auto run = by_id_.find(entry.run);
      if (run != by_id_.end() && consider(*run->second, entry)) last = entry.value;
      return !budget_.spent;
    });
    return have_enough();
  }

  // The same run by run: of each what may still be among the first.
  bool walk_each() {
    const auto before = [this](double a, double b) { return falling() ? a > b : a < b; };
    std::priority_queue<double, std::vector<double>, decltype(before)> first(
        before);  // last on top
    for (Candidate& run : candidates_) {
      view_.by_value_in(run.run->id, metric(), metric_range(), falling(),
                        [&](const MetricEntry& entry) {
                          const bool full = first.size() >= search_.limit;
                          if (full && before(first.top(), entry.value)) return false;
                          if (!budget_.take_entry()) return false;
                          if (consider(run, entry)) {
                            first.push(entry.value);
                            if (full) first.pop();
                          }
                          return !budget_.spent;
                        });
      if (budget_.spent) return false;
    }
    return have_enough();
  }

  // Everything that has such a value.
  bool take_range(const std::string& metric, const ValueRange& range) {
    const auto take_entry = [&](const MetricEntry& entry) {
      if (!budget_.take_entry()) return false;
      const auto run = by_id_.find(entry.run);
      if (run != by_id_.end()) consider(*run->second, entry);
      return !budget_.spent;
    };
    if (candidates_.size() > effort_.few_runs) {
      view_.by_value(metric, range, false, take_entry);
      return true;
    }
    for (const Candidate& run : candidates_) {
      view_.by_value_in(run.run->id, metric, range, false, take_entry);
    }
    return true;
  }

  // In the order of the results, until there are enough.
  bool run_by_run() {
    for (Candidate& run : candidates_) {
      if (matches_.size() >= search_.limit || budget_.spent) break;
      if (ranges_.empty()) {
        in_commit_order(run);
      } else {
        in_commit_order(run, ranges_.begin()->first, ranges_.begin()->second);
      }
    }
    return true;
  }

  void in_commit_order(Candidate& run) {
    view_.each_checkpoint(run.run->id, false, [&](CheckpointRecord one) {
      if (!budget_.take_record()) return false;
      if (counts(run, one)) consider(run, std::move(one));
      return matches_.size() < search_.limit && !budget_.spent;
    });
  }

  void in_commit_order(Candidate& run, const std::string& metric, const ValueRange& range) {
    std::vector<MetricEntry> entries;
    view_.by_value_in(run.run->id, metric, range, false, [&](const MetricEntry& entry) {
      entries.push_back(entry);
      return budget_.take_entry();
    });
    std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
      return std::tie(a.commit, a.checkpoint) < std::tie(b.commit, b.checkpoint);
    });
    for (const MetricEntry& entry : entries) {
      if (matches_.size() >= search_.limit || budget_.spent) return;
      consider(run, entry);
    }
  }

  // In the order in which reading everything would have found them.
  std::vector<FoundCheckpoint> take() {
    std::sort(matches_.begin(), matches_.end(), [](const Match& a, const Match& b) {
      return std::tie(a.run->position, a.checkpoint.commit, a.checkpoint.id) <
             std::tie(b.run->position, b.checkpoint.commit, b.checkpoint.id);
    });
    FirstRows<FoundCheckpoint> rows(search_, Scope::checkpoints);
    for (const Match& match : matches_) {
      const RunHistory& history = history_of(*match.run);
      rows.add(subject_of(history, match.checkpoint),
               [&] { return found_checkpoint(search_, history, match.checkpoint); });
    }
    return rows.take();
  }

  const Search& search_;
  SearchView& view_;
  const SearchEffort& effort_;
  MetricRanges ranges_;
  std::vector<Candidate> candidates_;
  std::unordered_map<Uuid, Candidate*, UuidHash> by_id_;
  ReadBudget budget_;
  std::vector<Match> matches_;
};

}  // namespace

bool may_be_indexed(const Search& search) {
  if (search.limit == SIZE_MAX && ranges_of(search.where).empty()) return false;
  std::vector<Key> keys = search.where.keys();
  keys.insert(keys.end(), search.columns.begin(), search.columns.end());
  for (const Order& order : search.order) keys.push_back(order.key);
  return std::none_of(keys.begin(), keys.end(), hangs_on_all);
}

std::optional<std::vector<FoundCheckpoint>> search_indexed(const Search& search,
                                                           const RunList& runs, SearchView& view,
                                                           const SearchEffort& effort) {
  return IndexedSearch(search, view, effort).answer(runs);
}

void use_indexed_history(const SharedRun& run, SearchView& view, const UseHistory& use) {
  ReadBudget unlimited;
  use(RunHistory(std::make_shared<ViewSource>(*run, view, unlimited), run));
}

std::optional<CheckpointRecord> best_indexed(const RunRecord& run, const std::string& metric,
                                             Better better, SearchView& view) {
  if (!view.has_order_of(metric)) return std::nullopt;
  ReadBudget budget;
  return ViewSource(run, view, budget).best_of(metric, better);
}

}  // namespace ckp
