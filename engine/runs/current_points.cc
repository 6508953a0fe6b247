// What of the metric series led to a run's current line.
#include <algorithm>
#include <map>
#include <optional>
#include <tuple>

#include "ckp/metrics.h"

namespace ckp {
namespace {

// Up to where an attempt's points count.
struct PointLimit {
  std::int64_t step = INT64_MAX;
  std::uint64_t commit = UINT64_MAX;  // when the step is not known
};

std::optional<std::int64_t> step_of(const std::vector<CheckpointRecord>& checkpoints,
                                    const Uuid& id) {
  for (const CheckpointRecord& one : checkpoints) {
    if (one.id == id) return one.step;
  }
  return std::nullopt;
}

std::uint32_t attempt_of(const std::vector<CheckpointRecord>& checkpoints, const Attempt& attempt) {
  if (attempt.continued_attempt != 0) return attempt.continued_attempt;
  for (const CheckpointRecord& one : checkpoints) {
    if (one.id == *attempt.continued_from) return one.attempt;
  }
  return attempt.number - 1;
}

// The attempts of the current line with their limits: the newest, the one it continued from, ...
std::map<std::uint32_t, PointLimit> limits_of(const RunRecord& run,
                                              const std::vector<CheckpointRecord>& checkpoints) {
  std::map<std::uint32_t, PointLimit> limits;
  PointLimit limit;
  std::uint32_t wanted = run.attempts.empty() ? 0 : run.attempts.back().number;
  for (auto at = run.attempts.rbegin(); at != run.attempts.rend(); ++at) {
    if (at->number != wanted) continue;
    limits.emplace(at->number, limit);
    if (!at->continued_from) break;
    const std::uint32_t before = attempt_of(checkpoints, *at);
    if (before >= wanted) break;
    wanted = before;
    limit = {};
    if (at->continued_step >= 0) {
      limit.step = at->continued_step;
    } else if (const auto step = step_of(checkpoints, *at->continued_from)) {
      limit.step = *step;
    } else if (at->continued_commit != 0) {
      limit.commit = at->continued_commit;
    }
  }
  return limits;
}

}  // namespace

std::vector<MetricPoint> current_points(const RunRecord& run,
                                        const std::vector<CheckpointRecord>& checkpoints,
                                        std::vector<MetricPoint> points) {
  const auto limits = limits_of(run, checkpoints);
  if (!limits.empty()) {
    std::erase_if(points, [&](const MetricPoint& point) {
      const auto limit = limits.find(point.attempt);
      return limit == limits.end() || point.step > limit->second.step ||
             point.commit >= limit->second.commit;
    });
  }
  // Later attempts first, so that theirs count where an earlier one has logged the same.
  std::map<std::tuple<std::string, std::int64_t, std::int64_t>, std::uint32_t> logged;
  for (auto point = points.rbegin(); point != points.rend(); ++point) {
    std::erase_if(point->values, [&](const auto& value) {
      const auto [first, is_new] =
          logged.emplace(std::tuple(value.first, point->epoch, point->step), point->attempt);
      return !is_new && first->second != point->attempt;
    });
  }
  std::erase_if(points, [](const MetricPoint& point) { return point.values.empty(); });
  return points;
}

}  // namespace ckp
