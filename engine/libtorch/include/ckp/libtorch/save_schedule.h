// When to save: every N steps, every N epochs, every so often, or as often as a budget allows.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

namespace ckp::libtorch {

// Zero means never, for each rule; rules are ORed. Asks no clock: the caller says what time it is.
class SaveSchedule {
 public:
  using Clock = std::chrono::steady_clock;
  struct Rules {
    std::int64_t every_steps = 0;
    std::int64_t every_epochs = 0;
    std::chrono::nanoseconds every{0};
    // The part of the training time that saves may cost (0.01: one per cent), whatever they cost;
    // 0: no such rule. `max_lost_work` wins over it: that much time without a save at most.
    double max_overhead = 0;
    std::chrono::nanoseconds max_lost_work = std::chrono::minutes(30);
  };

  // `now`: from when on `every` counts. Error(invalid_argument) for negative rules, and for a
  // max_overhead of 1 or more.
  SaveSchedule(const Rules& rules, Clock::time_point now);

  // Whether to save after optimizer step `step`, or at the end of the epoch that made it `epoch`
  // epochs.
  bool due_after_step(std::int64_t step, Clock::time_point now) const;
  bool due_after_epoch(std::int64_t epoch, Clock::time_point now) const;
  // A save has begun, for whatever reason.
  void saved(Clock::time_point now) { last_ = now; }
  // What the last save has cost: how long the training waited for it, and how long until it was
  // durable.
  void save_cost(std::chrono::nanoseconds stall, std::chrono::nanoseconds durable);
  // The time from the beginning of one save to the next that max_overhead leads to: stall /
  // max_overhead, and no less than a save takes to be durable; a minute as long as no save has been
  // measured; never more than max_lost_work. Nothing without that rule.
  std::optional<std::chrono::nanoseconds> interval() const;

 private:
  bool due_by_time(Clock::time_point now) const;

  Rules rules_;
  Clock::time_point last_;
  struct Cost {
    std::chrono::nanoseconds stall, durable;
  };
  std::optional<Cost> cost_;
};

}  // namespace ckp::libtorch
