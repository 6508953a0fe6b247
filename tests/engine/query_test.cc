#include "ckp/query.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "engine/run_samples.h"
#include "support/seed.h"

namespace ckp {
namespace {

using test::checkpoint;
using test::id_of;
using test::ids;

RunRecord run_with(std::vector<Attempt> attempts) {
  RunRecord run;
  run.name = "cnn";
  run.attempts = std::move(attempts);
  return run;
}

Attempt attempt(std::uint32_t number, std::optional<std::uint32_t> from = std::nullopt) {
  return {number, from ? std::optional(id_of(*from)) : std::nullopt, 0, 0, ""};
}

TEST(CurrentLine, OfOneAttemptIsAllOfItInCommitOrder) {
  const auto run = run_with({attempt(1)});
  const std::vector all{checkpoint(3, 30, 1, 3), checkpoint(1, 10, 1, 1), checkpoint(2, 20, 1, 2)};
  EXPECT_EQ(ids(current_line(run, all)), (std::vector{id_of(1), id_of(2), id_of(3)}));
  EXPECT_TRUE(current_line(run, {}).empty());
}

TEST(CurrentLine, LeavesOutWhatAResumeFromAnEarlierCheckpointLeftBehind) {
  const auto run = run_with({attempt(1), attempt(2, 2)});
  const std::vector all{checkpoint(1, 1, 1, 1), checkpoint(2, 2, 1, 2), checkpoint(3, 3, 1, 3),
                        checkpoint(4, 4, 2, 3)};
  EXPECT_EQ(ids(current_line(run, all)), (std::vector{id_of(1), id_of(2), id_of(4)}));
}

TEST(CurrentLine, AnAttemptWithoutCheckpointsSupersedesAlready) {
  const auto run = run_with({attempt(1), attempt(2, 1)});
  const std::vector all{checkpoint(1, 1, 1, 1), checkpoint(2, 2, 1, 2)};
  EXPECT_EQ(ids(current_line(run, all)), std::vector{id_of(1)});
}

TEST(CurrentLine, ABranchThatWasTakenUpAgainIsCurrent) {
  // 2 continues from the first of attempt 1; 3 goes back to what 2 had left behind.
  const auto run = run_with({attempt(1), attempt(2, 1), attempt(3, 2)});
  const std::vector all{checkpoint(1, 1, 1, 1), checkpoint(2, 2, 1, 2), checkpoint(3, 3, 2, 2),
                        checkpoint(4, 4, 3, 3)};
  EXPECT_EQ(ids(current_line(run, all)), (std::vector{id_of(1), id_of(2), id_of(4)}));
}

TEST(CurrentLine, AnAttemptFromNothingStartsANewLine) {
  const auto run = run_with({attempt(1), attempt(2)});
  const std::vector all{checkpoint(1, 1, 1, 1), checkpoint(2, 2, 2, 1)};
  EXPECT_EQ(ids(current_line(run, all)), std::vector{id_of(2)});
}

TEST(CurrentLine, WhatAPrunedCheckpointCameFromIsNotSuperseded) {
  // Attempt 2 continued from checkpoint 3, which was pruned since.
  const auto run = run_with({attempt(1), attempt(2, 3)});
  const std::vector all{checkpoint(1, 1, 1, 1), checkpoint(2, 2, 1, 2), checkpoint(4, 4, 2, 4)};
  EXPECT_EQ(ids(current_line(run, all)), (std::vector{id_of(1), id_of(2), id_of(4)}));
}

TEST(CurrentLine, TheRecordedPlaceDecidesWhenTheCheckpointIsPruned) {
  // Attempt 2 went back to checkpoint 1 of attempt 1, which was pruned; 2 was left behind.
  Attempt second = attempt(2, 1);
  second.continued_attempt = 1;
  second.continued_commit = 10;
  const auto run = run_with({attempt(1), second});
  const std::vector all{checkpoint(2, 20, 1, 2), checkpoint(3, 30, 2, 2)};
  EXPECT_EQ(ids(current_line(run, all)), std::vector{id_of(3)});
}

TEST(CurrentLine, IsFoundWithoutTheRunsRecordOfItsAttempts) {
  std::vector all{checkpoint(1, 1, 1, 1), checkpoint(2, 2, 1, 2), checkpoint(3, 3, 2, 2)};
  all[2].continued_from = id_of(1);
  EXPECT_EQ(ids(current_line(run_with({}), all)), (std::vector{id_of(1), id_of(3)}));
}

TEST(CurrentLine, DoesNotRunInCircles) {
  // Records that only damage could make: attempts that continue from their own and later ones.
  const auto run = run_with({attempt(1, 2), attempt(2, 2)});
  const std::vector all{checkpoint(1, 1, 1, 1), checkpoint(2, 2, 2, 2)};
  EXPECT_EQ(ids(current_line(run, all)), (std::vector{id_of(1), id_of(2)}));
}

TEST(CurrentLine, IsWhatHappenedInRandomHistories) {
  std::mt19937_64 random(test::seed(20267));
  for (int i = 0; i < 2000; ++i) {
    const test::History history = test::random_history(random);
    auto shuffled = history.all;
    std::shuffle(shuffled.begin(), shuffled.end(), random);
    ASSERT_EQ(ids(current_line(history.run, shuffled)), ids(history.line)) << "history " << i;
    RunRecord forgetful = history.run;
    std::erase_if(forgetful.attempts, [&](const Attempt& one) {
      return std::any_of(history.all.begin(), history.all.end(),
                         [&](const auto& c) { return c.attempt == one.number; });
    });
    ASSERT_EQ(ids(current_line(forgetful, shuffled)), ids(history.line)) << "history " << i;
  }
}

TEST(NewestResumable, IsTheNewestFiniteOne) {
  std::vector line{checkpoint(1, 1, 1, 1), checkpoint(2, 2, 1, 2), checkpoint(3, 3, 1, 3)};
  EXPECT_EQ(newest_resumable(line)->id, id_of(3));
  line[2].nonfinite = true;
  EXPECT_EQ(newest_resumable(line)->id, id_of(2));
  line[0].nonfinite = line[1].nonfinite = true;
  EXPECT_FALSE(newest_resumable(line));
  EXPECT_FALSE(newest_resumable({}));
}

TEST(NewestResumable, IsNotOneSavedInsideAStep) {
  std::vector line{checkpoint(1, 1, 1, 1), checkpoint(2, 2, 1, 2)};
  line[0].metrics["loss"] = 2;
  line[1].metrics["loss"] = 1;
  line[1].tags[std::string(mid_step_tag)] = "an exception ended the step";
  EXPECT_EQ(newest_resumable(line)->id, id_of(1));
  EXPECT_EQ(best(line, "loss", Better::lower)->id, id_of(1));
}

TEST(Best, TiesGoToTheEarlierAndOnlyFiniteValuesWin) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  std::vector<CheckpointRecord> line;
  const std::vector<std::optional<double>> values{std::nan(""), -infinity, std::nullopt, 2.0,
                                                  1.0,          1.0,       infinity,     3.0};
  for (std::uint32_t i = 0; i < values.size(); ++i) {
    line.push_back(checkpoint(i, i, 1, i));
    if (values[i]) line.back().metrics["loss"] = *values[i];
  }
  EXPECT_EQ(best(line, "loss", Better::lower)->id, id_of(4));
  EXPECT_EQ(best(line, "loss", Better::higher)->id, id_of(7));
  line[4].nonfinite = line[7].nonfinite = true;
  EXPECT_EQ(best(line, "loss", Better::lower)->id, id_of(5));
  EXPECT_EQ(best(line, "loss", Better::higher)->id, id_of(3));
  EXPECT_FALSE(best(line, "auc", Better::higher));
  EXPECT_FALSE(best({}, "loss", Better::lower));
}

TEST(Best, ZeroAndMinusZeroAreATie) {
  std::vector line{checkpoint(1, 1, 1, 1), checkpoint(2, 2, 1, 2)};
  line[0].metrics["loss"] = 0.0;
  line[1].metrics["loss"] = -0.0;
  EXPECT_EQ(best(line, "loss", Better::lower)->id, id_of(1));
}

TEST(Best, IsWhatSortingGivesInRandomHistories) {
  std::mt19937_64 random(test::seed(20268));
  for (int i = 0; i < 2000; ++i) {
    const test::History history = test::random_history(random);
    for (const auto better : {Better::lower, Better::higher}) {
      std::vector<std::pair<double, std::uint64_t>> ranked;  // value to make small, commit
      for (const auto& one : history.line) {
        if (one.nonfinite || !one.metrics.contains("loss")) continue;
        const double value = one.metrics.at("loss");
        if (!std::isfinite(value)) continue;
        ranked.emplace_back(better == Better::lower ? value : -value, one.commit);
      }
      std::sort(ranked.begin(), ranked.end());
      const auto found = best(history.line, "loss", better);
      ASSERT_EQ(found.has_value(), !ranked.empty());
      ASSERT_TRUE(!found || found->commit == ranked.front().second);
    }
  }
}

}  // namespace
}  // namespace ckp
