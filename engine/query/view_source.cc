#include "query/view_source.h"

#include <cmath>
#include <tuple>

namespace ckp {

// Counted, and read whatever is left of the budget: whoever asks needs an answer.
std::vector<CheckpointRecord> ViewSource::checkpoints() {
  std::vector<CheckpointRecord> all = view_.checkpoints(run_.id);
  for (std::size_t i = 0; i < all.size(); ++i) budget_.take_record();
  return all;
}

CheckpointTotals ViewSource::totals() {
  CheckpointTotals totals;
  std::tuple<std::uint64_t, Uuid> last;
  view_.each_save(run_.id, [&](const SaveEntry& one) {
    budget_.take_entry();
    const std::tuple place(one.commit, one.checkpoint);
    if (totals.count == 0 || last < place) {
      last = place;
      totals.last_created_ns = one.created_ns;
    }
    ++totals.count;
    totals.size += one.file_size;
    add_newest(totals, one.attempt, one.created_ns);
  });
  return totals;
}

std::optional<CheckpointRecord> ViewSource::latest(const std::string* metric) {
  std::optional<CheckpointRecord> found;
  view_.each_checkpoint(run_.id, true, [&](CheckpointRecord one) {
    budget_.take_record();
    const bool fits = (metric == nullptr || one.metrics.contains(*metric)) && on_line(one);
    if (fits) found = std::move(one);
    return !fits;
  });
  return found;
}

bool ViewSource::on_line(const CheckpointRecord& checkpoint) {
  return !checkpoint.salvaged_from &&
         is_on_line(checkpoint.attempt, checkpoint.commit, checkpoint.id);
}

bool ViewSource::on_line(const MetricEntry& entry) {
  return !entry.salvaged && is_on_line(entry.attempt, entry.commit, entry.checkpoint);
}

bool ViewSource::is_on_line(std::uint32_t attempt, std::uint64_t commit, const Uuid& id) {
  if (!line_known_) find_line();
  return cuts_ ? is_on(*cuts_, attempt, commit) : line_.contains(id);
}

void ViewSource::find_line() {
  cuts_ = line_cuts(run_, view_.newest_attempt(run_.id));
  if (!cuts_) {
    const std::vector<CheckpointRecord> all = checkpoints();
    for (const CheckpointRecord* one : line_of(run_, all)) line_.insert(one->id);
  }
  line_known_ = true;
}

std::optional<CheckpointRecord> ViewSource::best_of(const std::string& metric, Better better) {
  std::optional<MetricEntry> best;
  view_.by_value_in(run_.id, metric, {}, better == Better::higher, [&](const MetricEntry& entry) {
    budget_.take_entry();
    if (best && entry.value != best->value) return false;
    if (!std::isfinite(entry.value) || !entry.resumable || !on_line(entry)) return true;
    const bool earlier = !best || std::tie(entry.commit, entry.checkpoint) <
                                      std::tie(best->commit, best->checkpoint);
    if (earlier) best = entry;
    return true;
  });
  if (!best) return std::nullopt;
  budget_.take_record();
  return view_.checkpoint(*best);
}

}  // namespace ckp
