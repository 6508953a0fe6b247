#include "ckp/libtorch/save_schedule.h"

#include <fmt/format.h>

#include "ckp/error.h"

namespace ckp::libtorch {

SaveSchedule::SaveSchedule(const Rules& rules, Clock::time_point now) : rules_(rules), last_(now) {
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

bool SaveSchedule::due_by_time(Clock::time_point now) const {
  return rules_.every.count() > 0 && now - last_ >= rules_.every;
}

}  // namespace ckp::libtorch
