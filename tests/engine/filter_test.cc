// The query language: what an expression means.
#include "ckp/filter.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>

#include "engine/filter_samples.h"

namespace ckp::test {
namespace {

constexpr std::int64_t now_ns = filter_noon_ns + 24 * filter_hour_ns;

bool run_matches(const std::string& expression) {
  return Filter::parse(expression, now_ns).matches(filter_history());
}

// Of the checkpoint of one epoch.
bool epoch_matches(std::int64_t epoch, const std::string& expression) {
  const RunHistory history = filter_history();
  return Filter::parse(expression, now_ns)
      .matches(history, history.checkpoints()[static_cast<std::size_t>(epoch - 1)]);
}

void expect_all(bool expected, std::initializer_list<const char*> expressions) {
  for (const char* expression : expressions) {
    EXPECT_EQ(run_matches(expression), expected) << expression;
  }
}

TEST(FilterMeaning, AnEmptyFilterMatchesEverything) {
  EXPECT_TRUE(Filter().matches(filter_history()));
  EXPECT_FALSE(Filter().excludes(filter_run(), Scope::runs));
}

TEST(FilterMeaning, NumbersCompareAsNumbers) {
  expect_all(true,
             {"params.lr = 0.001", "params.lr == 1e-3", "params.lr != 0.1", "params.lr < .01",
              "params.lr <= 0.001", "params.lr >= +0.001", "params.lr > -1", "params.batch = 32",
              "params.batch = 32.0", "params.batch in (16, 32)", "params.batch not in (16, 64)",
              "params.big = 9007199254740993", "params.big != 9007199254740992",
              "params.big > 9007199254740992", "params.lr < inf", "params.lr > -inf"});
  expect_all(false, {"params.lr = 0.1", "params.lr != 0.001", "params.lr < 0.001",
                     "params.lr > 0.001", "params.batch in (16, 64)", "params.batch not in (32)"});
}

TEST(FilterMeaning, TextComparesByItsBytes) {
  expect_all(true, {"tags.team = 'ranking'", "tags.team = \"ranking\"", "tags.team > 'a'",
                    "tags.team < 'rankings'", "tags.team != 'Ranking'",
                    "tags.team in ('a', 'ranking')", "params.optimizer.name = 'AdamW'",
                    "params.optimizer/name = 'AdamW'", "params.a.b = 'literal'"});
  expect_all(false, {"tags.team = 'Ranking'", "tags.team = ''", "params.optimizer.name < 'A'"});
}

TEST(FilterMeaning, KindsOfParametersMeetByWhatTheySay) {
  expect_all(true, {"params.batch = '32'", "params.`batch text` = 32", "params.`batch text` > 4",
                    "params.lr = '1e-3'", "params.amp = true", "params.amp = 'True'",
                    "params.\"amp text\" = true", "params.amp != false", "params.batch != 'many'",
                    "tags.team != 3", "params.optimizer != 3"});
  expect_all(false, {"params.batch = 'many'", "params.batch < 'many'", "params.batch > 'many'",
                     "tags.team < 3", "tags.team > 3", "params.amp = 1", "params.optimizer = 3",
                     "params.optimizer.betas = 0.9"});
}

TEST(FilterMeaning, WhatIsMissingNeverMatches) {
  expect_all(false, {"params.x = 1", "params.x != 1", "params.x < 1", "params.x in (1)",
                     "params.x not in (1)", "params.x like '%'", "params.x not like '%'",
                     "not params.x = 1", "not params.x != 1", "params.nothing != 1",
                     "metrics.x < 1", "not metrics.x < 1", "tags.x != 'a'",
                     "params.x = 1 and params.lr = 0.001", "params.lr is null"});
  expect_all(true, {"params.x is null", "params.nothing is null", "params.lr is not null",
                    "params.optimizer is not null", "not params.lr is null",
                    "params.x = 1 or params.lr = 0.001", "metrics.x is null"});
}

TEST(FilterMeaning, AndBindsTighterThanOrAndNotTighterThanAnd) {
  const std::string t = "params.batch = 32", f = "params.batch = 1";
  EXPECT_TRUE(run_matches(t + " or " + f + " and " + f));
  EXPECT_FALSE(run_matches("(" + t + " or " + f + ") and " + f));
  EXPECT_TRUE(run_matches("not " + f + " and " + t));
  EXPECT_FALSE(run_matches("not " + t + " and " + t));
  EXPECT_FALSE(run_matches("not (" + f + " or " + t + ")"));
  EXPECT_TRUE(run_matches("NOT NOT " + t + " AND\n NOT(" + f + ")"));
}

TEST(FilterMeaning, LikeMatchesTheWholeText) {
  expect_all(true,
             {"name like 'cnn-lr3'", "name like 'cnn%'", "name like '%lr_'", "name like '%n%r%'",
              "name like '%'", "name ilike 'CNN%'", "name not like 'CNN%'", "name not like 'cnn'",
              "tags.team like 'r_nk%g'", "params.lr like '0.0%'", "params.amp like 'tr%'",
              "params.batch ilike '3_'", "name like 'cnn\\-lr3'"});
  expect_all(false, {"name like 'CNN%'", "name like 'nn-lr3'", "name like ''", "name like 'cnn_'",
                     "name not ilike 'CNN%'", "name like 'cnn\\%'", "params.optimizer like '%'"});
}

TEST(FilterMeaning, UnderscoreIsOneCharacterAndNotOneByte) {
  RunRecord run = filter_run();
  run.tags = {{"place", "Zürich 100%"}};
  const RunHistory history(run, {});
  for (const char* pattern : {"Z_rich%", "%ü%", "%\\%", "Z%h ___\\%"}) {
    EXPECT_TRUE(Filter::parse(std::string("tags.place like '") + pattern + "'", 0).matches(history))
        << pattern;
  }
  for (const char* pattern : {"Z__rich%", "%\\_%", "%ö%"}) {
    EXPECT_FALSE(
        Filter::parse(std::string("tags.place like '") + pattern + "'", 0).matches(history))
        << pattern;
  }
}

TEST(FilterMeaning, MetricsOfARunAreTheNewestOnesAndHaveExtremes) {
  expect_all(true, {"metrics.val/loss = 0.4", "metrics.\"val/loss\".last = 0.4",
                    "metrics.val/loss.min = 0.3", "metrics.`val/loss`.max = 0.5",
                    "metrics.`two words` = 7", "metrics.\"early.max\" = 3",
                    "metrics.early.max.last = 3", "metrics.early.max.max = 3",
                    "metrics.inf.last = -inf", "metrics.inf.min is null", "metric.val/loss > 0"});
  // The suffix wins over a name that ends like one.
  expect_all(false, {"metrics.early.max = 3", "metrics.`val/loss.min` = 0.3"});
}

TEST(FilterMeaning, MetricsOfACheckpointAreItsOwn) {
  EXPECT_TRUE(epoch_matches(1, "metrics.val/loss = 0.5"));
  EXPECT_TRUE(epoch_matches(1, "metrics.val/loss.min = 0.3 and metrics.val/loss.last = 0.4"));
  EXPECT_TRUE(epoch_matches(2, "metrics.val/loss < 0.4"));
  EXPECT_FALSE(epoch_matches(2, "metrics.inf < 0"));
}

TEST(FilterMeaning, NanEqualsItselfAndIsNeitherBelowNorAbove) {
  EXPECT_TRUE(epoch_matches(3, "metrics.val/loss = nan"));
  EXPECT_TRUE(epoch_matches(3, "metrics.val/loss != 3"));
  EXPECT_TRUE(epoch_matches(3, "not metrics.val/loss < 3"));
  EXPECT_TRUE(epoch_matches(3, "metrics.val/loss in (1, NaN)"));
  EXPECT_FALSE(epoch_matches(3, "metrics.val/loss < 3 or metrics.val/loss >= 3"));
  EXPECT_FALSE(epoch_matches(3, "metrics.val/loss = 3 or metrics.val/loss < nan"));
  EXPECT_FALSE(epoch_matches(2, "metrics.val/loss = nan"));
}

TEST(FilterMeaning, TagsOfACheckpointAreItsOwnElseItsRuns) {
  EXPECT_TRUE(run_matches("tags.kind = 'run'"));
  EXPECT_TRUE(epoch_matches(1, "tags.kind = 'run'"));
  EXPECT_TRUE(epoch_matches(4, "tags.kind = 'end' and tags.team = 'ranking'"));
  EXPECT_TRUE(run_matches("tags.mlflow.user = 'ada'"));
}

TEST(FilterMeaning, AttributesOfRuns) {
  expect_all(true, {"attributes.name = 'cnn-lr3'",
                    "run_name = 'cnn-lr3'",
                    "attr.name like 'cnn%'",
                    "status = 'completed'",
                    "status in ('failed', 'completed')",
                    "experiment = 'ranking'",
                    "attempts = 1",
                    "resumed = false",
                    "host = 'node-7'",
                    "best_metric = 'val/loss'",
                    "checkpoints = 4",
                    "total_size = 4000",
                    "duration_hours = 4",
                    "Epoch = 4",
                    "step = 400",
                    "final = true",
                    "best = false",
                    "run_id = '0000abcd000000000000000000000001'",
                    "parent = 'base'",
                    "parent_checkpoint like '0000beef%'"});
  expect_all(false, {"status = 'failed'", "resumed = true", "epoch < 4", "parent is null"});
  EXPECT_TRUE(epoch_matches(2, "best = true and epoch = 2 and size = 1000 and commit = 2"));
  EXPECT_TRUE(epoch_matches(2, "superseded = false and resumable = true and attempt = 1"));
  EXPECT_TRUE(epoch_matches(2, "checkpoint_id like '00000002%'"));
  EXPECT_FALSE(epoch_matches(3, "best = true"));
}

TEST(FilterMeaning, ARunWithoutCheckpointsHasNoneOfTheirAttributes) {
  RunRecord run = filter_run();
  run.experiment.clear();
  const RunHistory history(run, {});
  for (const char* expression :
       {"epoch is null", "ended is null", "checkpoints = 0", "metrics.val/loss is null",
        "experiment is null", "best is null", "duration_hours = 0"}) {
    EXPECT_TRUE(Filter::parse(expression, 0).matches(history)) << expression;
  }
}

TEST(FilterMeaning, ARunInProgressHasNotEnded) {
  RunRecord run = filter_run();
  run.status = RunStatus::in_progress;
  const RunHistory history(run, {checkpoint(1, 1, 1, 1)});
  EXPECT_TRUE(Filter::parse("ended is null and epoch = 1", 0).matches(history));
}

TEST(FilterMeaning, SupersededCheckpointsAreKnown) {
  RunRecord run = filter_run();
  run.attempts.push_back(Attempt{2, id_of(1), 0, 0, "", 1, 1});
  const RunHistory history(
      run, {checkpoint(1, 1, 1, 1), checkpoint(2, 2, 1, 2), checkpoint(3, 3, 2, 2)});
  const Filter filter = Filter::parse("superseded = true and resumed = true", 0);
  EXPECT_FALSE(filter.matches(history, history.checkpoints()[0]));
  EXPECT_TRUE(filter.matches(history, history.checkpoints()[1]));
  EXPECT_FALSE(filter.matches(history, history.checkpoints()[2]));
}

TEST(FilterMeaning, TimesAreDatesOrCountedFromNow) {
  expect_all(
      true,
      {"started >= '2026-10-03T12:00Z'", "started <= '2026-10-03T12:00:00.000Z'",
       "started < '2026-10-03T12:00:00.000000001Z'", "start_time > '2026-10-03 11:59:59+00:00'",
       "started >= '2026-10-03T14:00+02:00'", "started < '2026-10-03T14:00:01 +02:00'",
       "ended <= now - 20h", "end_time > now-21h", "started >= now-1d", "started < now - 86399s",
       "started < NOW", "started > now-2w", "started < now+5m", "started > now-292w"});
  expect_all(false, {"started > '2026-10-03T12:00Z'", "started < '2026-10-03T12:00Z'",
                     "started > now-1d", "started > now"});
  EXPECT_TRUE(epoch_matches(1, "time >= now-23h and time <= now-23h"));
}

TEST(FilterMeaning, DatesWithoutAZoneAreLocal) {
  const char* const before = std::getenv("TZ");
  const std::string kept = before == nullptr ? "" : before;
  ::setenv("TZ", "UTC-3", 1);  // POSIX: three hours east
  ::tzset();
  EXPECT_TRUE(run_matches("started >= '2026-10-03T15:00' and started <= '2026-10-03T15:00'"));
  EXPECT_TRUE(run_matches("started > '2026-10-03' and started < '2026-10-04'"));
  if (before == nullptr) {
    ::unsetenv("TZ");
  } else {
    ::setenv("TZ", kept.c_str(), 1);
  }
  ::tzset();
}

TEST(FilterMeaning, QuotesAreDoubledInsideThemselves) {
  RunRecord run = filter_run();
  run.tags = {{"it's `x`", "say \"it's\""}};
  const RunHistory history(run, {});
  EXPECT_TRUE(
      Filter::parse("tags.\"it's `x`\" = 'say \"it''s\"' and tags.`it's ``x``` like 'say%'", 0)
          .matches(history));
}

TEST(FilterMeaning, RunsAreExcludedBeforeTheirCheckpointsAreRead) {
  const RunRecord run = filter_run();
  const auto excludes = [&](const std::string& expression, Scope scope) {
    return Filter::parse(expression, now_ns).excludes(run, scope);
  };
  for (const Scope scope : {Scope::runs, Scope::checkpoints}) {
    EXPECT_TRUE(excludes("params.lr > 1 and metrics.val/loss < 1", scope));
    EXPECT_TRUE(excludes("metrics.val/loss < 1 and not status = 'completed'", scope));
    EXPECT_FALSE(excludes("params.lr > 1 or metrics.val/loss < 1", scope));
    EXPECT_FALSE(excludes("metrics.val/loss < 0", scope));
    EXPECT_FALSE(excludes("metrics.val/loss is not null", scope));
    EXPECT_FALSE(excludes("epoch > 100 or checkpoints > 100", scope));
  }
  // A checkpoint may have this tag.
  EXPECT_TRUE(excludes("tags.kind = 'end'", Scope::runs));
  EXPECT_FALSE(excludes("tags.kind = 'end'", Scope::checkpoints));
}

TEST(FilterKeys, ValuesAreWhatColumnsShow) {
  const RunHistory history = filter_history();
  const auto value = [&](const char* key) { return Key::parse(key).value(history); };
  EXPECT_EQ(value("params.lr"), Value(0.001));
  EXPECT_EQ(value("params.batch"), Value(32));
  EXPECT_EQ(value("params.amp"), Value(true));
  EXPECT_EQ(value("params.optimizer.betas"), Value(Value::List{0.9, 0.99}));
  EXPECT_EQ(value("tags.team"), Value("ranking"));
  EXPECT_EQ(value("metrics.val/loss.min"), Value(0.3));
  EXPECT_EQ(value("status"), Value("completed"));
  EXPECT_EQ(value("started"), Value(filter_noon_ns));
  EXPECT_EQ(value("params.x"), Value());
  EXPECT_TRUE(Key::parse("attributes.start_time").is_time());
  EXPECT_FALSE(Key::parse("params.time").is_time());
  EXPECT_EQ(Key::parse("metrics.val/loss").value(history, history.checkpoints()[0]), Value(0.5));
  EXPECT_EQ(Key::parse("checkpoint_id").value(history, history.checkpoints()[0]),
            Value(id_of(1).hex()));
}

TEST(FilterKeys, AFilterKnowsItsKeys) {
  std::vector<std::string> texts;
  for (const Key& key :
       Filter::parse("not (tags.a = 'b' or epoch > 1) and params.x in (1)", 0).keys()) {
    texts.push_back(key.text);
  }
  EXPECT_EQ(texts, (std::vector<std::string>{"tags.a", "epoch", "params.x"}));
  EXPECT_TRUE(Filter().keys().empty());
}

TEST(FilterKeys, ListsAreSeparatedByCommas) {
  const std::vector<Key> keys = Key::parse_list("name, metrics.\"a,b\".max,params.lr");
  ASSERT_EQ(keys.size(), 3u);
  EXPECT_EQ(keys[0].text, "name");
  EXPECT_EQ(keys[1].name, "a,b");
  EXPECT_EQ(keys[1].pick, RunHistory::Pick::max);
  EXPECT_EQ(keys[2].text, "params.lr");
}

TEST(FilterKeys, OrdersHaveADirection) {
  const auto check = [](const char* text, const char* name, bool descending, bool by_extreme) {
    const Order order = Order::parse(text);
    EXPECT_EQ(order.key.name, name) << text;
    EXPECT_EQ(order.descending, descending) << text;
    EXPECT_EQ(order.by_extreme, by_extreme) << text;
  };
  check("metrics.val/loss", "val/loss", false, false);
  check("metrics.val/loss:min", "val/loss", false, true);
  check("metrics.`val:loss`:max", "val:loss", true, true);
  check("metrics.val/loss:asc", "val/loss", false, false);
  check("metrics.val/loss DESC", "val/loss", true, false);
  check("metrics.`a desc`", "a desc", false, false);
}

}  // namespace
}  // namespace ckp::test
