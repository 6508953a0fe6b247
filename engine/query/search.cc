#include "query/search.h"

#include <algorithm>
#include <utility>

#include "query/operand.h"

namespace ckp {
namespace {

// What a result is ordered by: an operand that owns its text.
struct SortKey {
  Operand operand;
  std::string text;
};

// Numbers, text, booleans, then all that has no order of its own; NaN and what is missing last.
int rank_of(const Operand& operand) {
  switch (operand.kind) {
    case Operand::Kind::integer:
    case Operand::Kind::time:
      return 0;
    case Operand::Kind::number:
      return operand.is_nan() ? 4 : 0;
    case Operand::Kind::text:
      return 1;
    case Operand::Kind::truth:
      return 2;
    case Operand::Kind::other:
      return 3;
    case Operand::Kind::missing:
    case Operand::Kind::undecided:
      return 5;
  }
  return 5;
}

constexpr int first_rank_without_direction = 4;

// Below, equal or above, in the order's direction.
int compare_keys(const SortKey& a, const SortKey& b, bool descending) {
  const int sign = descending ? -1 : 1;
  const int rank_a = rank_of(a.operand), rank_b = rank_of(b.operand);
  if (rank_a != rank_b) {
    const bool fixed = std::max(rank_a, rank_b) >= first_rank_without_direction;
    return (rank_a < rank_b ? -1 : 1) * (fixed ? 1 : sign);
  }
  if (rank_a == 1) return sign * a.text.compare(b.text);
  const auto ordering = compare(a.operand, b.operand);
  return ordering < 0 ? -sign : ordering > 0 ? sign : 0;
}

// Collects results and keeps the first `limit` of their order.
template <class Result>
class FirstRows {
 public:
  FirstRows(const Search& search, Scope scope) : limit_(search.limit), order_(search.order) {
    for (Order& one : order_) {
      if (scope != Scope::runs || !one.by_extreme || one.key.kind != Key::Kind::metric) continue;
      if (one.key.pick) continue;
      one.key.pick = one.descending ? RunHistory::Pick::max : RunHistory::Pick::min;
    }
  }

  // Whether nothing that comes now can be among the results.
  bool full() const { return limit_ == 0 || (order_.empty() && rows_.size() >= limit_); }

  // `make` is called when the result may be among the first.
  template <class Make>
  void add(const Subject& subject, Make make) {
    std::vector<SortKey> keys;
    keys.reserve(order_.size());
    Scratch scratch;
    for (const Order& one : order_) {
      SortKey key{operand_of(one.key, subject, scratch), {}};
      if (key.operand.kind == Operand::Kind::text) key.text = key.operand.text;
      key.operand.text = {};
      keys.push_back(std::move(key));
    }
    // The last one of a full list: what is not before it comes too late.
    if (cut_ && !before(keys, *cut_)) return;
    rows_.push_back({std::move(keys), make()});
    if (limit_ < most_kept && rows_.size() >= 2 * limit_ + spare) cut();
  }

  std::vector<Result> take() {
    cut();
    std::vector<Result> results;
    results.reserve(rows_.size());
    for (Ranked& row : rows_) results.push_back(std::move(row.result));
    return results;
  }

 private:
  struct Ranked {
    std::vector<SortKey> keys;
    Result result;
  };
  static constexpr std::size_t spare = 64;
  static constexpr std::size_t most_kept = SIZE_MAX / 4;

  bool before(const std::vector<SortKey>& a, const std::vector<SortKey>& b) const {
    for (std::size_t i = 0; i < order_.size(); ++i) {
      const int ordering = compare_keys(a[i], b[i], order_[i].descending);
      if (ordering != 0) return ordering < 0;
    }
    return false;
  }

  void cut() {
    std::stable_sort(rows_.begin(), rows_.end(),
                     [&](const Ranked& a, const Ranked& b) { return before(a.keys, b.keys); });
    if (rows_.size() < limit_) return;
    rows_.erase(rows_.begin() + static_cast<std::ptrdiff_t>(limit_), rows_.end());
    if (!rows_.empty()) cut_ = rows_.back().keys;
  }

  std::size_t limit_;
  std::vector<Order> order_;
  std::vector<Ranked> rows_;
  std::optional<std::vector<SortKey>> cut_;
};

FoundRun found_run(const Search& search, const RunHistory& history) {
  FoundRun found;
  found.run = history.run();
  found.checkpoints = history.checkpoints().size();
  for (const CheckpointRecord& one : history.checkpoints()) found.size += one.file_size;
  if (!history.line().empty()) found.latest = *history.line().back();
  if (history.best() != nullptr) found.best = *history.best();
  for (const Key& key : search.columns) found.values.push_back(key.value(history));
  return found;
}

FoundCheckpoint found_checkpoint(const Search& search, const RunHistory& history,
                                 const CheckpointRecord& checkpoint) {
  FoundCheckpoint found;
  found.checkpoint = checkpoint;
  found.best = history.best() != nullptr && history.best()->id == checkpoint.id;
  found.on_line = history.on_line(checkpoint);
  for (const Key& key : search.columns) found.values.push_back(key.value(history, checkpoint));
  return found;
}

}  // namespace

std::vector<FoundRun> search_runs(const Search& search, std::vector<RunRecord> runs,
                                  const LoadCheckpoints& load) {
  FirstRows<FoundRun> rows(search, Scope::runs);
  for (RunRecord& run : runs) {
    if (rows.full()) break;
    if (search.where.excludes(run, Scope::runs)) continue;
    std::vector<CheckpointRecord> checkpoints = load(run);
    const RunHistory history(std::move(run), std::move(checkpoints));
    if (!search.where.matches(history)) continue;
    rows.add(subject_of(history), [&] { return found_run(search, history); });
  }
  return rows.take();
}

std::vector<FoundCheckpoint> search_checkpoints(const Search& search, std::vector<RunRecord> runs,
                                                const LoadCheckpoints& load) {
  FirstRows<FoundCheckpoint> rows(search, Scope::checkpoints);
  for (RunRecord& run : runs) {
    if (rows.full()) break;
    if (search.where.excludes(run, Scope::checkpoints)) continue;
    std::vector<CheckpointRecord> checkpoints = load(run);
    const RunHistory history(std::move(run), std::move(checkpoints));
    const auto consider = [&](const CheckpointRecord& one) {
      if (rows.full() || !search.where.matches(history, one)) return;
      rows.add(subject_of(history, one), [&] { return found_checkpoint(search, history, one); });
    };
    if (search.superseded) {
      for (const CheckpointRecord& one : history.checkpoints()) consider(one);
    } else {
      for (const CheckpointRecord* one : history.line()) consider(*one);
    }
  }
  return rows.take();
}

}  // namespace ckp
