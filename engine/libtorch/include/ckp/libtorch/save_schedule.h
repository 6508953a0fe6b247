// When to save: every N steps, every N epochs, every so often.
#pragma once

#include <chrono>
#include <cstdint>

namespace ckp::libtorch {

// Zero means never, for each rule; rules are ORed. Asks no clock: the caller says what time it is.
class SaveSchedule {
 public:
  using Clock = std::chrono::steady_clock;
  struct Rules {
    std::int64_t every_steps = 0;
    std::int64_t every_epochs = 0;
    std::chrono::nanoseconds every{0};
  };

  // `now`: from when on `every` counts. Error(invalid_argument) for negative rules.
  SaveSchedule(const Rules& rules, Clock::time_point now);

  // Whether to save after optimizer step `step`, or at the end of the epoch that made it `epoch`
  // epochs.
  bool due_after_step(std::int64_t step, Clock::time_point now) const;
  bool due_after_epoch(std::int64_t epoch, Clock::time_point now) const;
  // A save has begun, for whatever reason.
  void saved(Clock::time_point now) { last_ = now; }

 private:
  bool due_by_time(Clock::time_point now) const;

  Rules rules_;
  Clock::time_point last_;
};

}  // namespace ckp::libtorch
