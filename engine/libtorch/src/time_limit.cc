#include "ckp/libtorch/time_limit.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>

namespace ckp::libtorch {

TimeLimit::TimeLimit(std::optional<Clock::time_point> deadline, Duration first_save)
    : deadline_(deadline), first_save_(first_save) {}

void TimeLimit::save_took(Duration time) {
  longest_save_ = std::max(time, longest_save_.value_or(Duration{0}));
}

void TimeLimit::step_took(Duration time) { longest_step_ = std::max(time, longest_step_); }

TimeLimit::Duration TimeLimit::reserve() const {
  return 2 * longest_save_.value_or(first_save_) + longest_step_;
}

bool TimeLimit::reached(Clock::time_point now) const {
  return deadline_ && now + reserve() >= *deadline_;
}

std::optional<TimeLimit::Clock::time_point> slurm_deadline(
    TimeLimit::Clock::time_point now, std::chrono::system_clock::time_point wall_now) {
  const char* text = std::getenv("SLURM_JOB_END_TIME");
  if (text == nullptr) return std::nullopt;
  std::int64_t seconds = 0;
  const char* end = text + std::strlen(text);
  const auto result = std::from_chars(text, end, seconds);
  if (result.ec != std::errc() || result.ptr != end) return std::nullopt;
  const std::chrono::system_clock::time_point wall_end{std::chrono::seconds(seconds)};
  return now + (wall_end - wall_now);
}

}  // namespace ckp::libtorch
