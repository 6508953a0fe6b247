#include "ckp/libtorch/save_schedule.h"

#include <fmt/format.h>

#include <algorithm>

#include "ckp/error.h"

namespace ckp::libtorch {

SaveSchedule::SaveSchedule(const Rules& rules, Clock::time_point now) : rules_(rules), last_(now) {
  const bool is_share = rules.max_overhead >= 0 && rules.max_overhead < 1;
  if (!is_share || rules.max_lost_work.count() <= 0) {
    throw Error(
        ErrorCode::invalid_argument,
        fmt::format("save schedule: max_overhead {} must be at least 0 and below 1 (0.01 is "
                    "one per cent), max_lost_work {} ns more than nothing",
                    rules.max_overhead, rules.max_lost_work.count()));
  }
  if (rules.every_steps < 0 || rules.every_epochs < 0 || rules.every.count() < 0) {
    throw Error(ErrorCode::invalid_argument,
                fmt::format("save schedule: every {} steps, {} epochs, {} ns: none may be negative",
                            rules.every_steps, rules.every_epochs, rules.every.count()));
  }
}

bool SaveSchedule::due_after_step(std::int64_t step, Clock::time_point now) const {
  return (rules_.every_steps > 0 && step % rules_.every_steps == 0) || due_by_time(now);
}

bool SaveSchedule::due_after_epoch(std::int64_t epoch, Clock::time_point now) const {
  return (rules_.every_epochs > 0 && epoch % rules_.every_epochs == 0) || due_by_time(now);
}

void SaveSchedule::save_cost(std::chrono::nanoseconds stall, std::chrono::nanoseconds durable) {
  cost_ = {stall, durable};
}

std::optional<std::chrono::nanoseconds> SaveSchedule::interval() const {
  constexpr std::chrono::nanoseconds before_the_first = std::chrono::minutes(1);
  if (rules_.max_overhead == 0) return std::nullopt;
  std::chrono::nanoseconds affordable = before_the_first;
  if (cost_) {
    // As a double: a long stall divided by a tiny share is more than 64 bits of nanoseconds.
    const double time = static_cast<double>(cost_->stall.count()) / rules_.max_overhead;
    if (time >= static_cast<double>(rules_.max_lost_work.count())) return rules_.max_lost_work;
    affordable =
        std::max(cost_->durable, std::chrono::nanoseconds(static_cast<std::int64_t>(time)));
  }
  return std::min(affordable, rules_.max_lost_work);
}

bool SaveSchedule::due_by_time(Clock::time_point now) const {
  const auto time = now - last_;
  if (rules_.every.count() > 0 && time >= rules_.every) return true;
  const auto affordable = interval();
  return affordable && time >= *affordable;
}

}  // namespace ckp::libtorch
