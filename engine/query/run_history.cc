#include <algorithm>
#include <tuple>

#include "ckp/filter.h"
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
    : run_(std::move(run)), checkpoints_(std::move(checkpoints)) {
  std::sort(checkpoints_.begin(), checkpoints_.end(), in_commit_order);
  line_ = line_of(run_, checkpoints_);
}

bool RunHistory::on_line(const CheckpointRecord& checkpoint) const {
  return std::binary_search(line_.begin(), line_.end(), &checkpoint,
                            [](const auto* a, const auto* b) { return in_commit_order(*a, *b); });
}

const CheckpointRecord* RunHistory::best() const {
  if (!best_) {
    const auto direction = run_.directions.find(run_.best_metric);
    best_ = direction == run_.directions.end()
                ? nullptr
                : best_of(line_, run_.best_metric, direction->second);
  }
  return *best_;
}

std::optional<double> RunHistory::metric(const std::string& name, Pick pick) const {
  for (const Picked& one : picked_) {
    if (one.pick == pick && one.name == name) return one.value;
  }
  const CheckpointRecord* const found =
      pick == Pick::last ? last_with(line_, name)
                         : best_of(line_, name, pick == Pick::min ? Better::lower : Better::higher);
  std::optional<double> value;
  if (found != nullptr) value = found->metrics.at(name);
  picked_.push_back({name, pick, value});
  return value;
}

}  // namespace ckp
