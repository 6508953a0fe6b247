#include "ckp/libtorch/save_schedule.h"

#include <gtest/gtest.h>

#include <cmath>

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

TEST(SaveSchedule, AsOftenAsABudgetAllows) {
  SaveSchedule schedule({.max_overhead = 0.01, .max_lost_work = 30min}, kStart);
  EXPECT_EQ(schedule.interval(), 1min) << "nothing has been measured";
  EXPECT_FALSE(schedule.due_after_step(1, kStart + 1min - 1ns));
  EXPECT_TRUE(schedule.due_after_step(1, kStart + 1min));
  schedule.saved(kStart + 1min);
  schedule.save_cost(2s, 10s);
  EXPECT_EQ(schedule.interval(), 200s);
  EXPECT_FALSE(schedule.due_after_step(2, kStart + 1min + 200s - 1ns));
  EXPECT_TRUE(schedule.due_after_epoch(2, kStart + 1min + 200s));
}

TEST(SaveSchedule, ABudgetNeverAsksForASaveWhileOneIsWritten) {
  SaveSchedule schedule({.max_overhead = 0.5}, kStart);
  schedule.save_cost(1ms, 10s);
  EXPECT_EQ(schedule.interval(), 10s);
}

TEST(SaveSchedule, WhatMayBeLostWinsOverTheBudget) {
  SaveSchedule schedule({.max_overhead = 0.01, .max_lost_work = 20s}, kStart);
  EXPECT_EQ(schedule.interval(), 20s);
  schedule.save_cost(2s, 3s);
  EXPECT_EQ(schedule.interval(), 20s);
  SaveSchedule tiny({.max_overhead = 1e-300}, kStart);
  tiny.save_cost(100h, 100h);
  EXPECT_EQ(tiny.interval(), 30min);
}

TEST(SaveSchedule, BudgetsThatMakeNoSenseAreRefused) {
  for (const double share : {-0.1, 1.0, std::nan("")}) {
    expect_error(ErrorCode::invalid_argument, "max_overhead",
                 [&] { SaveSchedule({.max_overhead = share}, kStart); });
  }
  expect_error(ErrorCode::invalid_argument, "max_lost_work",
               [&] { SaveSchedule({.max_overhead = 0.1, .max_lost_work = 0s}, kStart); });
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
