#include <gtest/gtest.h>

#include <algorithm>

#include "ckp/query.h"
#include "ckp/retention.h"
#include "engine/run_samples.h"
#include "support/expect_error.h"
#include "support/seed.h"

namespace ckp {
namespace {

using test::checkpoint;
using test::expect_error;
using test::id_of;
using Reasons = std::vector<std::string>;

TEST(ParseKeep, Every) {
  KeepPolicy policy;
  parse_keep_every("10e", policy);
  parse_keep_every("500s", policy);
  EXPECT_EQ(policy.every_epochs, 10);
  EXPECT_EQ(policy.every_steps, 500);
  for (const std::string text :
       {"", "e", "10", "0e", "-1e", "1.5e", "10x", "e10", " 10e", "99999999999999999999s"}) {
    SCOPED_TRACE(text);
    expect_error(ErrorCode::invalid_argument, "as in 10e or 500s",
                 [&] { parse_keep_every(text, policy); });
  }
  parse_keep_every("10e", policy);  // the same once more
  expect_error(ErrorCode::invalid_argument, "10e was given before",
               [&] { parse_keep_every("20e", policy); });
}

TEST(ParseKeep, Duration) {
  constexpr std::int64_t second = 1'000'000'000;
  EXPECT_EQ(parse_duration_ns("7d"), 7 * 86'400 * second);
  EXPECT_EQ(parse_duration_ns("12h"), 12 * 3'600 * second);
  EXPECT_EQ(parse_duration_ns("30m"), 30 * 60 * second);
  EXPECT_EQ(parse_duration_ns("90s"), 90 * second);
  EXPECT_EQ(parse_duration_ns("2w"), 14 * 86'400 * second);
  for (const std::string text :
       {"", "d", "7", "0d", "-7d", "7y", "1.5d", "999999d9", "200000d", "7 d"}) {
    SCOPED_TRACE(text);
    expect_error(ErrorCode::invalid_argument, "as in 2w, 7d, 12h, 30m or 90s",
                 [&] { parse_duration_ns(text); });
  }
}

TEST(ParseKeep, Best) {
  const auto expect = [](std::string_view text, std::uint32_t count, std::string_view metric,
                         std::optional<Better> better) {
    SCOPED_TRACE(text);
    const KeepBest rule = parse_keep_best(text);
    EXPECT_EQ(rule.count, count);
    EXPECT_EQ(rule.metric, metric);
    EXPECT_EQ(rule.better, better);
  };
  expect("2:val/loss:min", 2, "val/loss", Better::lower);
  expect("1:val/auc:max", 1, "val/auc", Better::higher);
  expect("val/loss", 1, "val/loss", std::nullopt);
  expect("val/loss:min", 1, "val/loss", Better::lower);
  expect("3:val/loss", 3, "val/loss", std::nullopt);
  expect("a:b", 1, "a:b", std::nullopt);
  expect("top5:max", 1, "top5", Better::higher);
  for (const std::string text : {"", "2", "2:", ":min", "2::min", "0:loss", "-1:loss", "2:3",
                                 "99999999999:loss", "loss:", "1:loss:"}) {
    SCOPED_TRACE(text);
    expect_error(ErrorCode::invalid_argument, "as in 2:val/loss:min or val/loss",
                 [&] { parse_keep_best(text); });
  }
}

// Epochs 1 to 6 in one attempt; loss falls until 4.
class Deciding : public testing::Test {
 protected:
  Deciding() {
    run_.name = "cnn";
    run_.directions = {{"loss", Better::lower}};
    run_.attempts = {{1, std::nullopt, 0, 0, ""}};
    const double losses[] = {6, 5, 3, 2, 3, 4};
    for (std::uint32_t i = 0; i < 6; ++i) {
      all_.push_back(checkpoint(i + 1, i + 1, 1, i + 1));
      all_.back().metrics["loss"] = losses[i];
      all_.back().created_ns = 100 * (i + 1);
    }
  }
  // The reasons by epoch; deleted ones are marked with a minus.
  std::vector<Reasons> decide(const KeepPolicy& policy, std::int64_t now = 1000) {
    std::vector<Reasons> result;
    for (const KeepDecision& one : ckp::decide(policy, run_, all_, now)) {
      result.push_back(one.reasons);
      if (!one.keep) result.back().insert(result.back().begin(), "-");
    }
    return result;
  }

  static constexpr std::int64_t day_ns = 86'400'000'000'000;
  const Reasons none{"-", "no rule keeps it"};
  RunRecord run_;
  std::vector<CheckpointRecord> all_;
};

TEST_F(Deciding, Last) {
  EXPECT_EQ(decide({.last = 2}),
            (std::vector<Reasons>{
                none, none, none, none, {"last 2 of 2"}, {"newest resumable", "last 1 of 2"}}));
}

TEST_F(Deciding, LastDoesNotCountNonfiniteOnes) {
  all_[5].nonfinite = true;
  all_[3].nonfinite = true;
  EXPECT_EQ(decide({.last = 2}),
            (std::vector<Reasons>{
                none, none, {"last 2 of 2"}, none, {"newest resumable", "last 1 of 2"}, none}));
}

TEST_F(Deciding, CheckpointsSavedInsideAStepAreNeverLastOrBest) {
  all_[5].tags[std::string(mid_step_tag)] = "an exception ended the step";
  all_[5].metrics["loss"] = -1;
  EXPECT_EQ(decide({.last = 1, .best = {{1, "loss", Better::lower}}})[5], none);
  EXPECT_EQ(decide({.last = 1})[4], (Reasons{"newest resumable", "last 1 of 1"}));
}

TEST_F(Deciding, BestGoesToTheEarlierOfATie) {
  EXPECT_EQ(
      decide({.best = {{2, "loss", {}}}}),
      (std::vector<Reasons>{
          none, none, {"best 2 by loss:min"}, {"best 1 by loss:min"}, none, {"newest resumable"}}));
  EXPECT_EQ(decide({.best = {{1, "loss", Better::higher}}})[0], Reasons{"best 1 by loss:max"});
}

TEST_F(Deciding, WhatHasNoMetricYetIsPendingUntilALaterOneHasIt) {
  all_[1].metrics.clear();  // overtaken
  all_[4].metrics.clear();
  all_[5].metrics.clear();
  const KeepPolicy policy{.best = {{1, "loss", {}}}};
  const Reasons pending{"pending: no loss yet"};
  EXPECT_EQ(decide(policy), (std::vector<Reasons>{none,
                                                  none,
                                                  none,
                                                  {"best 1 by loss:min"},
                                                  pending,
                                                  {"newest resumable", "pending: no loss yet"}}));
  all_[5].metrics["loss"] = std::nan("");  // it has arrived
  EXPECT_EQ(decide(policy)[4], none);
  EXPECT_EQ(decide({.last = 1, .best = {{0, "loss", {}}}})[4], none) << "a rule for none";
  all_[5].metrics.clear();
  EXPECT_EQ(decide({.best = {{1, "loss", {}, false}}})[4], none);
}

TEST_F(Deciding, APendingOneStaysForADay) {
  for (CheckpointRecord& one : all_) one.metrics.clear();
  const KeepPolicy policy{.best = {{1, "loss", {}}}};
  const Reasons pending{"pending: no loss yet"};
  // Epoch n was saved at 100 n.
  EXPECT_EQ(decide(policy, day_ns + 299)[2], pending);
  EXPECT_EQ(decide(policy, day_ns + 299)[1], none);
  EXPECT_EQ(decide(policy, day_ns + 300)[2], none);
  EXPECT_EQ(decide(policy, 0)[2], pending) << "the clock was wrong";
  all_[2].nonfinite = true;
  EXPECT_EQ(decide(policy)[2], none) << "it could not be the best";
}

TEST_F(Deciding, EveryEpochsAndSteps) {
  EXPECT_EQ(decide({.every_epochs = 3, .every_steps = 200}),
            (std::vector<Reasons>{none,
                                  {"every 200 steps"},
                                  {"every 3 epochs"},
                                  {"every 200 steps"},
                                  none,
                                  {"newest resumable", "every 3 epochs", "every 200 steps"}}));
}

// Saves by steps may leave dozens of checkpoints in one epoch.
TEST_F(Deciding, EveryEpochsKeepsTheLastFiniteSaveOfAnEpoch) {
  for (auto& one : all_) one.epoch = one.epoch <= 4 ? 3 : 4;
  all_[3].nonfinite = true;
  EXPECT_EQ(
      decide({.every_epochs = 3}),
      (std::vector<Reasons>{none, none, {"every 3 epochs"}, none, none, {"newest resumable"}}));
  for (std::size_t n : {0u, 1u, 2u}) all_[n].nonfinite = true;
  EXPECT_EQ(decide({.every_epochs = 3})[3], Reasons{"every 3 epochs"});  // better than none
}

TEST_F(Deciding, WithinCountsTheFutureAsYoung) {
  all_[0].created_ns = 5'000;
  constexpr std::int64_t second = 1'000'000'000;
  for (auto& one : all_) one.created_ns *= second;
  EXPECT_EQ(
      decide({.within_ns = 600 * second}, 1'000 * second),
      (std::vector<Reasons>{
          {"within 10m"}, none, none, none, {"within 10m"}, {"newest resumable", "within 10m"}}));
}

// 1970-01-01 twice, then 01-03 twice, 01-04, 01-05.
TEST_F(Deciding, DailyKeepsTheLastOfEachOfTheNewestDaysThatHaveAny) {
  const std::int64_t times[] = {0, day_ns - 1, 2 * day_ns, 3 * day_ns - 1, 3 * day_ns, 4 * day_ns};
  for (std::size_t i = 0; i < 6; ++i) all_[i].created_ns = times[i];
  const Reasons fifth{"newest resumable", "daily 1970-01-05"};
  EXPECT_EQ(decide({.daily = 1}, 9 * day_ns),
            (std::vector<Reasons>{none, none, none, none, none, fifth}));
  EXPECT_EQ(
      decide({.daily = 4}, 9 * day_ns),
      (std::vector<Reasons>{
          none, {"daily 1970-01-01"}, none, {"daily 1970-01-03"}, {"daily 1970-01-04"}, fifth}));
  EXPECT_EQ(decide({.daily = 3}, 9 * day_ns)[1], none);
  EXPECT_EQ(decide({.daily = 99}, 9 * day_ns)[0], none);
  all_[3].nonfinite = true;
  EXPECT_EQ(decide({.daily = 4}, 9 * day_ns)[2], Reasons{"daily 1970-01-03"}) << "a finite one";
  all_[2].nonfinite = true;
  EXPECT_EQ(decide({.daily = 3}, 9 * day_ns)[1], Reasons{"daily 1970-01-01"}) << "takes no place";
  all_[0].created_ns = -1;
  EXPECT_EQ(decide({.daily = 9}, 9 * day_ns)[0], Reasons{"daily 1969-12-31"});
}

TEST_F(Deciding, DailyKeepsWhatIsOfTheFutureWithoutCountingIt) {
  for (std::size_t i = 0; i < 6; ++i) all_[i].created_ns = static_cast<std::int64_t>(i) * day_ns;
  const Reasons future{"daily: saved in the future"};
  all_[1].created_ns = 80 * day_ns;
  EXPECT_EQ(decide({.daily = 2}, 3 * day_ns + 5),
            (std::vector<Reasons>{none,
                                  future,
                                  {"daily 1970-01-03"},
                                  {"daily 1970-01-04"},
                                  future,
                                  {"newest resumable", "daily: saved in the future"}}));
}

TEST_F(Deciding, Tags) {
  all_[1].tags["gold"] = "yes";
  EXPECT_EQ(decide({.tags = {"gold", "silver"}}),
            (std::vector<Reasons>{none, {"tag gold"}, none, none, none, {"newest resumable"}}));
}

TEST_F(Deciding, SupersededOnesGoUnlessTaggedOrYoung) {
  run_.attempts.push_back({2, id_of(2), 0, 0, ""});
  all_[3].tags["gold"] = true;
  const Reasons superseded{"-", "superseded"};
  EXPECT_EQ(decide({.last = 9, .every_epochs = 1, .tags = {"gold"}}),
            (std::vector<Reasons>{{"last 2 of 9", "every 1 epochs"},
                                  {"newest resumable", "last 1 of 9", "every 1 epochs"},
                                  superseded,
                                  {"tag gold"},
                                  superseded,
                                  superseded}));
  EXPECT_EQ(decide({.within_ns = 401})[5], Reasons{"within 401 ns"});
}

TEST_F(Deciding, NothingMayBeResumableAtAll) {
  for (auto& one : all_) one.nonfinite = true;
  EXPECT_EQ(decide({.last = 3}), std::vector<Reasons>(6, none));
  all_.clear();
  EXPECT_TRUE(decide({.last = 3}).empty());
}

TEST_F(Deciding, AnEmptyPolicyIsRefused) {
  EXPECT_TRUE(KeepPolicy{}.empty());
  EXPECT_TRUE((KeepPolicy{.best = {{0, "loss", {}}}}.empty()));
  EXPECT_FALSE((KeepPolicy{.last = 1}.empty()));
  expect_error(ErrorCode::invalid_argument, "no rule is given", [&] { decide({}); });
  expect_error(ErrorCode::invalid_argument, "negative",
               [&] { decide({.last = 1, .every_steps = -5}); });
}

TEST_F(Deciding, ADirectionIsNeverGuessed) {
  expect_error(ErrorCode::invalid_argument, "say 1:acc:min or :max", [&] {
    decide({.best = {{1, "acc", {}}}});
  });
  expect_error(ErrorCode::invalid_argument, "declares no best metric", [&] {
    decide({.best = {{1, "", {}}}});
  });
  run_.best_metric = "loss";
  EXPECT_EQ(decide({.best = {{1, "", {}}}})[3], Reasons{"best 1 by loss:min"});
}

// One checkpoint at a time, asking the rules as they are written in the manual.
bool naive_keep(const KeepPolicy& policy, const test::History& history, const CheckpointRecord& one,
                std::int64_t now) {
  if (policy.within_ns > 0 && now - one.created_ns < policy.within_ns) return true;
  for (const auto& tag : policy.tags) {
    if (one.tags.contains(tag)) return true;
  }
  const auto on_line = [&](const CheckpointRecord& other) {
    return std::any_of(history.line.begin(), history.line.end(),
                       [&](const auto& x) { return x.id == other.id; });
  };
  if (!on_line(one)) return false;
  if (policy.every_epochs > 0 && one.epoch % policy.every_epochs == 0) {
    const bool stands_for_its_epoch =
        std::none_of(history.line.begin(), history.line.end(), [&](const auto& other) {
          if (other.epoch != one.epoch || other.id == one.id) return false;
          if (other.nonfinite != one.nonfinite) return one.nonfinite;
          return other.commit > one.commit;
        });
    if (stands_for_its_epoch) return true;
  }
  if (policy.every_steps > 0 && one.step % policy.every_steps == 0) return true;
  if (policy.daily > 0 && one.created_ns > now) return true;
  if (one.nonfinite) return false;
  constexpr std::int64_t a_day = 86'400'000'000'000;
  std::set<std::int64_t> newer_days;
  bool last_of_its_day = true;
  for (const auto& other : history.line) {
    if (other.nonfinite || other.created_ns > now) continue;
    const std::int64_t day = other.created_ns / a_day, own = one.created_ns / a_day;
    if (day > own) newer_days.insert(day);
    if (day == own && other.commit > one.commit) last_of_its_day = false;
  }
  if (last_of_its_day && newer_days.size() < policy.daily) return true;
  std::size_t newer = 0;
  for (const auto& other : history.line) newer += !other.nonfinite && other.commit > one.commit;
  if (newer < std::max<std::size_t>(policy.last, 1)) return true;
  for (const KeepBest& rule : policy.best) {
    const auto sign = rule.metric == "loss" ? 1.0 : -1.0;
    const auto value = [&](const CheckpointRecord& x) {
      const auto found = x.metrics.find(rule.metric);
      return found == x.metrics.end() ? std::nan("") : sign * found->second;
    };
    const bool overtaken =
        std::any_of(history.line.begin(), history.line.end(), [&](const auto& other) {
          return other.commit >= one.commit && other.metrics.contains(rule.metric);
        });
    if (rule.count > 0 && !overtaken && now - one.created_ns < 86'400'000'000'000) return true;
    if (!std::isfinite(value(one))) continue;
    std::size_t better = 0;
    for (const auto& other : history.line) {
      if (other.nonfinite || !std::isfinite(value(other))) continue;
      better +=
          value(other) < value(one) || (value(other) == value(one) && other.commit < one.commit);
    }
    if (better < rule.count) return true;
  }
  return false;
}

TEST(Policy, RandomPoliciesDecideAsANaiveReaderWould) {
  std::mt19937_64 random(test::seed(20270));
  for (int i = 0; i < 4000; ++i) {
    test::History history = test::random_history(random);
    // Days, of which two are in the future; or all of it within a moment.
    constexpr std::int64_t long_time = 86'400'000'000'000 / 250;
    const std::int64_t unit = random() % 2 == 0 ? 1 : long_time;
    for (auto* list : {&history.all, &history.line}) {
      for (CheckpointRecord& one : *list) one.created_ns *= unit;
    }
    const std::int64_t now = 1000 * unit;
    KeepPolicy policy;
    policy.last = static_cast<std::uint32_t>(random() % 4);
    if (random() % 2 == 0)
      policy.best.push_back({static_cast<std::uint32_t>(random() % 4), "loss", {}});
    if (random() % 2 == 0)
      policy.best.push_back({static_cast<std::uint32_t>(random() % 4), "auc", {}});
    if (random() % 3 == 0) policy.every_epochs = 1 + static_cast<std::int64_t>(random() % 4);
    if (random() % 3 == 0) policy.every_steps = 10 * (1 + static_cast<std::int64_t>(random() % 4));
    if (random() % 3 == 0) policy.within_ns = unit * static_cast<std::int64_t>(random() % 700);
    if (random() % 3 == 0) policy.daily = static_cast<std::uint32_t>(random() % 4);
    if (random() % 3 == 0) policy.tags = {"gold"};
    if (policy.empty()) policy.last = 1;
    auto shuffled = history.all;
    std::shuffle(shuffled.begin(), shuffled.end(), random);
    const auto decisions = decide(policy, history.run, shuffled, now);
    ASSERT_EQ(decisions.size(), history.all.size());
    for (std::size_t n = 0; n < decisions.size(); ++n) {
      ASSERT_EQ(decisions[n].checkpoint, history.all[n]) << "not in commit order";
      ASSERT_EQ(decisions[n].keep, naive_keep(policy, history, history.all[n], now))
          << "history " << i << ", checkpoint " << n;
      ASSERT_FALSE(decisions[n].reasons.empty());
    }
    const auto newest = newest_resumable(history.line);
    for (const auto& one : decisions) {
      ASSERT_TRUE(one.keep || !newest || one.checkpoint.id != newest->id);
    }
  }
}

}  // namespace
}  // namespace ckp
