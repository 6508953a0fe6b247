// A run's checkpoints as an index knows them.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "query/history_source.h"
#include "query/search_view.h"
#include "runs/line.h"

namespace ckp {

// What a search may still read before it gives up.
struct ReadBudget {
  std::size_t entries = SIZE_MAX;
  std::size_t records = SIZE_MAX;
  bool spent = false;

  bool take_entry() { return take(entries); }
  bool take_record() { return take(records); }

 private:
  bool take(std::size_t& left) {
    if (left == 0) spent = true;
    return left != 0 && left-- != 0;
  }
};

// `run`, `view` and `budget` outlive it.
class ViewSource : public HistorySource {
 public:
  ViewSource(const RunRecord& run, SearchView& view, ReadBudget& budget)
      : run_(run), view_(view), budget_(budget) {}

  std::vector<CheckpointRecord> checkpoints() override;
  CheckpointTotals totals() override;
  std::optional<CheckpointRecord> latest(const std::string* metric) override;
  bool on_line(const CheckpointRecord& checkpoint) override;
  bool on_line(const MetricEntry& entry);
  bool knows_best_of(const std::string& metric) override { return view_.has_order_of(metric); }
  std::optional<CheckpointRecord> best_of(const std::string& metric, Better better) override;

 private:
  bool is_on_line(std::uint32_t attempt, std::uint64_t commit, const Uuid& id);
  void find_line();

  const RunRecord& run_;
  SearchView& view_;
  ReadBudget& budget_;
  bool line_known_ = false;
  std::optional<std::vector<LineCut>> cuts_;
  std::set<Uuid> line_;  // when the cuts do not say
};

}  // namespace ckp
