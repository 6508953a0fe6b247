#include "ckp/libtorch/save_schedule.h"

#include <gtest/gtest.h>

#include "support/expect_error.h"

namespace ckp::test {
namespace {

using libtorch::SaveSchedule;
using namespace std::chrono_literals;
constexpr SaveSchedule::Clock::time_point kStart{};

TEST(SaveSchedule, EveryNSteps) {
  SaveSchedule schedule({.every_steps = 3}, kStart);
  for (std::int64_t step = 1; step <= 9; ++step) {
    EXPECT_EQ(schedule.due_after_step(step, kStart), step % 3 == 0) << step;
  }
  EXPECT_FALSE(schedule.due_after_epoch(3, kStart));
}

TEST(SaveSchedule, EveryNEpochs) {
  SaveSchedule schedule({.every_epochs = 2}, kStart);
  EXPECT_FALSE(schedule.due_after_epoch(1, kStart));
  EXPECT_TRUE(schedule.due_after_epoch(2, kStart));
  EXPECT_FALSE(schedule.due_after_step(2, kStart));
}

TEST(SaveSchedule, EverySoOften) {
  SaveSchedule schedule({.every = 10min}, kStart);
  EXPECT_FALSE(schedule.due_after_step(1, kStart + 10min - 1ns));
  EXPECT_TRUE(schedule.due_after_step(1, kStart + 10min));
  EXPECT_TRUE(schedule.due_after_epoch(1, kStart + 10min));
  schedule.saved(kStart + 12min);
  EXPECT_FALSE(schedule.due_after_step(2, kStart + 22min - 1ns));
  EXPECT_TRUE(schedule.due_after_step(2, kStart + 22min));
}

TEST(SaveSchedule, NothingIsDueWithoutRules) {
  SaveSchedule schedule({}, kStart);
  EXPECT_FALSE(schedule.due_after_step(100, kStart + 1000h));
  EXPECT_FALSE(schedule.due_after_epoch(100, kStart + 1000h));
}

TEST(SaveSchedule, NegativeRulesAreRefused) {
  expect_error(ErrorCode::invalid_argument, "every -1 steps",
               [] { SaveSchedule({.every_steps = -1}, kStart); });
  expect_error(ErrorCode::invalid_argument, "-2 epochs",
               [] { SaveSchedule({.every_epochs = -2}, kStart); });
  expect_error(ErrorCode::invalid_argument, "-3 ns", [] { SaveSchedule({.every = -3ns}, kStart); });
}

}  // namespace
}  // namespace ckp::test
