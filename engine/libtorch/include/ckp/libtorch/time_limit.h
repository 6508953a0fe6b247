// Stopping before the time is over, early enough for one save.
#pragma once

#include <chrono>
#include <optional>

namespace ckp::libtorch {

// Asks no clock: the caller says what time it is. Learns from what it is told how long a save and
// the way to the next chance to save take.
class TimeLimit {
 public:
  using Clock = std::chrono::steady_clock;
  using Duration = std::chrono::nanoseconds;

  // `deadline`: nothing means no limit. `first_save`: what to reckon with before a save has been
  // measured.
  TimeLimit(std::optional<Clock::time_point> deadline, Duration first_save);

  void save_took(Duration time);
  void step_took(Duration time);  // between two chances to save
  // The time to keep free: twice the longest save so far, and the longest step.
  Duration reserve() const;
  // Whether to save and stop now, because after another step it might be too late.
  bool reached(Clock::time_point now) const;

 private:
  std::optional<Clock::time_point> deadline_;
  Duration first_save_;
  std::optional<Duration> longest_save_;
  Duration longest_step_{0};
};

// When Slurm will end this job, from SLURM_JOB_END_TIME (seconds since 1970); nothing outside of
// one. `now` and `wall_now` are the same moment.
std::optional<TimeLimit::Clock::time_point> slurm_deadline(
    TimeLimit::Clock::time_point now, std::chrono::system_clock::time_point wall_now);

}  // namespace ckp::libtorch
