#include "ckp/libtorch/time_limit.h"

#include <gtest/gtest.h>
#include <stdlib.h>

namespace ckp::test {
namespace {

using libtorch::slurm_deadline;
using libtorch::TimeLimit;
using namespace std::chrono_literals;
constexpr TimeLimit::Clock::time_point kLoopStart{};

TEST(TimeLimit, WithoutADeadlineItIsNeverReached) {
  TimeLimit limit(std::nullopt, 1s);
  limit.save_took(10h);
  EXPECT_FALSE(limit.reached(kLoopStart + 10000h));
}

TEST(TimeLimit, BeforeASaveIsMeasuredAGuessHasToDo) {
  TimeLimit limit(kLoopStart + 100s, 10s);
  EXPECT_FALSE(limit.reached(kLoopStart + 80s - 1ns));
  EXPECT_TRUE(limit.reached(kLoopStart + 80s));
}

TEST(TimeLimit, KeepsTwiceTheLongestSaveAndTheLongestStepFree) {
  TimeLimit limit(kLoopStart + 100s, 10s);
  limit.save_took(3s);
  limit.save_took(2s);
  limit.step_took(4s);
  limit.step_took(1s);
  EXPECT_EQ(limit.reserve(), 10s);
  EXPECT_FALSE(limit.reached(kLoopStart + 90s - 1ns));
  EXPECT_TRUE(limit.reached(kLoopStart + 90s));
  limit.save_took(5s);
  EXPECT_TRUE(limit.reached(kLoopStart + 86s));
}

class Slurm : public ::testing::Test {
 protected:
  ~Slurm() override { ::unsetenv("SLURM_JOB_END_TIME"); }
  void set(const char* text) { ::setenv("SLURM_JOB_END_TIME", text, 1); }
  const std::chrono::system_clock::time_point wall_{1000s};
};

TEST_F(Slurm, TheEndOfTheJob) {
  set("1060");
  EXPECT_EQ(slurm_deadline(kLoopStart + 5s, wall_), kLoopStart + 65s);
}

TEST_F(Slurm, NothingElseIsADeadline) {
  ::unsetenv("SLURM_JOB_END_TIME");
  EXPECT_FALSE(slurm_deadline(kLoopStart, wall_));
  for (const char* text : {"", "soon", "12x"}) {
    set(text);
    EXPECT_FALSE(slurm_deadline(kLoopStart, wall_)) << text;
  }
}

}  // namespace
}  // namespace ckp::test
