#include <gtest/gtest.h>

#include "ckp/retention.h"
#include "support/expect_error.h"

namespace ckp {
namespace {

using test::expect_error;

KeepPolicy parse(std::vector<std::string> rules) { return parse_keep_rules(rules); }

TEST(KeepRules, EveryForm) {
  const KeepPolicy policy = parse({"last 2", "best 3", "best 1 val/auc:max", "every 10 epochs",
                                   "every 500 steps", "within 7d", "daily 5", "tag a", "tag b"});
  EXPECT_EQ(policy.last, 2u);
  ASSERT_EQ(policy.best.size(), 2u);
  EXPECT_EQ(policy.best[0].count, 3u);
  EXPECT_EQ(policy.best[0].metric, "");
  EXPECT_EQ(policy.best[1].count, 1u);
  EXPECT_EQ(policy.best[1].metric, "val/auc");
  EXPECT_EQ(policy.best[1].better, Better::higher);
  EXPECT_EQ(policy.every_epochs, 10);
  EXPECT_EQ(policy.every_steps, 500);
  EXPECT_EQ(policy.within_ns, parse_duration_ns("7d"));
  EXPECT_EQ(policy.daily, 5u);
  EXPECT_EQ(policy.tags, (std::vector<std::string>{"a", "b"}));
}

TEST(KeepRules, NoRulesAreAnEmptyPolicy) { EXPECT_TRUE(parse({}).empty()); }

TEST(KeepRules, OtherWordsAreRefusedWithTheForms) {
  for (const std::string rule :
       {"", "last", "last 0", "last -1", "last two", "last 1 2", "best", "best 1 a b", "every 3",
        "every 3 days", "every 0 epochs", "within", "tag", "keep 3", "last 99999999999", "daily",
        "daily 0", "daily 7d"}) {
    SCOPED_TRACE(rule);
    expect_error(ErrorCode::invalid_argument, "\"every N epochs\"", [&] { parse({rule}); });
  }
}

TEST(KeepRules, TheSameRuleTwice) {
  expect_error(ErrorCode::invalid_argument,
               "keep \"every 3 steps\": there is such a rule already, with 2", [] {
                 parse({"every 2 steps", "every 3 steps"});
               });
  expect_error(ErrorCode::invalid_argument, "keep \"daily 3\"", [] {
    parse({"daily 3", "daily 3"});
  });
  expect_error(ErrorCode::invalid_argument, "keep \"last 3\"", [] { parse({"last 2", "last 3"}); });
}

}  // namespace
}  // namespace ckp
