#include <algorithm>
#include <tuple>

#include "ckp/filter.h"
#include "query/history_source.h"
#include "runs/line.h"

namespace ckp {
namespace {

bool in_commit_order(const CheckpointRecord& a, const CheckpointRecord& b) {
  return std::tie(a.commit, a.id) < std::tie(b.commit, b.id);
}

}  // namespace

RunHistory::RunHistory(RunRecord run, std::vector<CheckpointRecord> checkpoints)
    : run_(std::make_shared<const RunRecord>(std::move(run))) {
  take(std::move(checkpoints));
}

RunHistory::RunHistory(std::shared_ptr<HistorySource> source, std::shared_ptr<const RunRecord> run)
    : run_(std::move(run)), source_(std::move(source)) {}

void RunHistory::take(std::vector<CheckpointRecord> checkpoints) const {
  checkpoints_ = std::move(checkpoints);
  std::sort(checkpoints_.begin(), checkpoints_.end(), in_commit_order);
  line_ = line_of(*run_, checkpoints_);
}

void RunHistory::load() const {
  if (source_ == nullptr) return;
  take(source_->checkpoints());
  source_ = nullptr;
}

std::span<const CheckpointRecord> RunHistory::checkpoints() const {
  load();
  return checkpoints_;
}

std::span<const CheckpointRecord* const> RunHistory::line() const {
  load();
  return line_;
}

bool RunHistory::on_line(const CheckpointRecord& checkpoint) const {
  if (source_ != nullptr) return source_->on_line(checkpoint);
  return std::binary_search(line_.begin(), line_.end(), &checkpoint,
                            [](const auto* a, const auto* b) { return in_commit_order(*a, *b); });
}

const CheckpointRecord* RunHistory::keep(std::optional<CheckpointRecord> found) const {
  if (!found) return nullptr;
  known_.push_back(std::make_shared<const CheckpointRecord>(std::move(*found)));
  return known_.back().get();
}

const CheckpointRecord* RunHistory::latest() const {
  if (!latest_) {
    latest_ = source_ != nullptr ? keep(source_->latest(nullptr))
              : line_.empty()    ? nullptr
                                 : line_.back();
  }
  return *latest_;
}

const CheckpointRecord* RunHistory::last_with(const std::string& metric) const {
  if (source_ != nullptr) return keep(source_->latest(&metric));
  const auto found = std::find_if(line_.rbegin(), line_.rend(),
                                  [&](const auto* one) { return one->metrics.contains(metric); });
  return found == line_.rend() ? nullptr : *found;
}

const CheckpointTotals& RunHistory::totals() const {
  if (totals_ != nullptr) return *totals_;
  CheckpointTotals totals;
  if (source_ != nullptr) {
    totals = source_->totals();
  } else {
    for (const CheckpointRecord& one : checkpoints_) {
      ++totals.count;
      totals.size += one.file_size;
      totals.last_created_ns = one.created_ns;
      add_newest(totals, one.attempt, one.created_ns);
    }
  }
  totals_ = std::make_shared<const CheckpointTotals>(std::move(totals));
  return *totals_;
}

const CheckpointRecord* RunHistory::best() const {
  if (!best_) {
    const auto direction = run_->directions.find(run_->best_metric);
    best_ = direction == run_->directions.end() ? nullptr
                                                : best_by(run_->best_metric, direction->second);
  }
  return *best_;
}

const CheckpointRecord* RunHistory::best_by(const std::string& metric, Better better) const {
  if (source_ == nullptr || !source_->knows_best_of(metric)) {
    return best_of(line(), metric, better);
  }
  return keep(source_->best_of(metric, better));
}

double RunHistory::hours_of(std::size_t attempt) const {
  constexpr double ns_per_hour = 3.6e12;
  const Attempt& one = run_->attempts[attempt];
  std::int64_t end = std::max(one.started_ns, one.last_seen_ns);
  if (attempt + 1 < run_->attempts.size()) {
    end = std::max(end, run_->attempts[attempt + 1].previous_seen_ns);
  }
  const auto newest = totals().newest_ns.find(one.number);
  if (newest != totals().newest_ns.end()) end = std::max(end, newest->second);
  return static_cast<double>(end - one.started_ns) / ns_per_hour;
}

double RunHistory::hours() const {
  double sum = 0;
  for (std::size_t i = 0; i < run_->attempts.size(); ++i) sum += hours_of(i);
  return sum;
}

double RunHistory::device_hours() const {
  double sum = 0;
  for (std::size_t i = 0; i < run_->attempts.size(); ++i) {
    sum += hours_of(i) * run_->attempts[i].devices;
  }
  return sum;
}

std::optional<double> RunHistory::metric(const std::string& name, Pick pick) const {
  for (const Picked& one : picked_) {
    if (one.pick == pick && one.name == name) return one.value;
  }
  const CheckpointRecord* const found =
      pick == Pick::last ? last_with(name)
                         : best_by(name, pick == Pick::min ? Better::lower : Better::higher);
  std::optional<double> value;
  if (found != nullptr) value = found->metrics.at(name);
  picked_.push_back({name, pick, value});
  return value;
}

}  // namespace ckp
