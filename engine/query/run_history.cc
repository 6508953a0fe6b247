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

const CheckpointRecord* last_with(std::span<const CheckpointRecord* const> line,
                                  const std::string& metric) {
  const auto found = std::find_if(line.rbegin(), line.rend(),
                                  [&](const auto* one) { return one->metrics.contains(metric); });
  return found == line.rend() ? nullptr : *found;
}

}  // namespace

RunHistory::RunHistory(RunRecord run, std::vector<CheckpointRecord> checkpoints)
    : run_(std::move(run)) {
  take(std::move(checkpoints));
}

RunHistory::RunHistory(std::shared_ptr<HistorySource> source, RunRecord run)
    : run_(std::move(run)), source_(std::move(source)) {}

void RunHistory::take(std::vector<CheckpointRecord> checkpoints) const {
  checkpoints_ = std::move(checkpoints);
  std::sort(checkpoints_.begin(), checkpoints_.end(), in_commit_order);
  line_ = line_of(run_, checkpoints_);
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

const CheckpointRecord* RunHistory::best() const {
  if (!best_) {
    const auto direction = run_.directions.find(run_.best_metric);
    best_ =
        direction == run_.directions.end() ? nullptr : best_by(run_.best_metric, direction->second);
  }
  return *best_;
}

const CheckpointRecord* RunHistory::best_by(const std::string& metric, Better better) const {
  if (source_ == nullptr || !source_->knows_best_of(metric)) {
    return best_of(line(), metric, better);
  }
  auto found = source_->best_of(metric, better);
  if (!found) return nullptr;
  known_.push_back(std::make_shared<const CheckpointRecord>(std::move(*found)));
  return known_.back().get();
}

double RunHistory::hours_of(std::size_t attempt) const {
  constexpr double ns_per_hour = 3.6e12;
  const Attempt& one = run_.attempts[attempt];
  std::int64_t end = std::max(one.started_ns, one.last_seen_ns);
  if (attempt + 1 < run_.attempts.size()) {
    end = std::max(end, run_.attempts[attempt + 1].previous_seen_ns);
  }
  for (const CheckpointRecord& checkpoint : checkpoints()) {
    if (checkpoint.attempt == one.number) end = std::max(end, checkpoint.created_ns);
  }
  return static_cast<double>(end - one.started_ns) / ns_per_hour;
}

double RunHistory::hours() const {
  double sum = 0;
  for (std::size_t i = 0; i < run_.attempts.size(); ++i) sum += hours_of(i);
  return sum;
}

double RunHistory::device_hours() const {
  double sum = 0;
  for (std::size_t i = 0; i < run_.attempts.size(); ++i) {
    sum += hours_of(i) * run_.attempts[i].devices;
  }
  return sum;
}

std::optional<double> RunHistory::metric(const std::string& name, Pick pick) const {
  for (const Picked& one : picked_) {
    if (one.pick == pick && one.name == name) return one.value;
  }
  const CheckpointRecord* const found =
      pick == Pick::last ? last_with(line(), name)
                         : best_by(name, pick == Pick::min ? Better::lower : Better::higher);
  std::optional<double> value;
  if (found != nullptr) value = found->metrics.at(name);
  picked_.push_back({name, pick, value});
  return value;
}

}  // namespace ckp
