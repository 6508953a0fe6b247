// The first results in the order of a search.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ckp/search.h"
#include "query/operand.h"

namespace ckp {

// What a result is ordered by: an operand that owns its text.
struct SortKey {
  Operand operand;
  std::string text;
};

// Below, equal or above, in the order's direction.
int compare_keys(const SortKey& a, const SortKey& b, bool descending);

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

}  // namespace ckp
