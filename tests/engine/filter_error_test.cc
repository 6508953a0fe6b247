// What the query language says about what it does not understand, and where it points.
#include <gtest/gtest.h>

#include "ckp/filter.h"
#include "support/expect_error.h"

namespace ckp::test {
namespace {

// `part` is in the message, and the caret stands in the column.
void expect_filter_error(const std::string& expression, std::size_t column,
                         const std::string& part) {
  try {
    Filter::parse(expression, 0);
    ADD_FAILURE() << "no error: " << expression;
  } catch (const Error& error) {
    const std::string what = error.what();
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
    EXPECT_TRUE(what.starts_with("column " + std::to_string(column) + ": ")) << what;
    EXPECT_NE(what.find(part), std::string::npos) << "expected: " << part << "\nin: " << what;
    const std::string caret = "\n  " + std::string(column - 1, ' ') + "^";
    EXPECT_TRUE(what.ends_with(caret)) << what;
  }
}

TEST(FilterErrors, TheWholeMessage) {
  expect_error(ErrorCode::invalid_argument,
               "column 15: expected a value (a number, 'text', true or false), found the end\n"
               "  metrics.auc > \n"
               "                ^",
               [] { Filter::parse("metrics.auc > ", 0); });
}

TEST(FilterErrors, WhatIsLeftOutIsNamed) {
  expect_filter_error("", 1, "expected a key (params.NAME, tags.NAME, metrics.NAME");
  expect_filter_error("   ", 4, "found the end");
  expect_filter_error("params.lr", 10, "expected an operator");
  expect_filter_error("params.lr 3", 11, "expected an operator");
  expect_filter_error("params.lr = 3 and", 18, "expected a key");
  expect_filter_error("params.lr = 3 params.x = 4", 15, "expected and, or, or the end");
  expect_filter_error("(params.lr = 3", 15, "expected and, or, or ')'");
  expect_filter_error("params.lr = 3)", 14, "expected and, or, or the end");
  expect_filter_error("params.lr = 3 or or", 18, "expected a key (");
  expect_filter_error("not", 4, "expected a key");
  expect_filter_error("params.lr in 3", 14, "'(' and the values");
  expect_filter_error("params.lr in ()", 15, "expected a value");
  expect_filter_error("params.lr in (1, 2", 19, "',' or ')'");
  expect_filter_error("params.lr in (1,)", 17, "expected a value");
  expect_filter_error("params.lr not = 3", 15, "in, like or ilike");
  expect_filter_error("params.lr is 3", 14, "null or not null");
  expect_filter_error("params.lr is not 3", 18, "expected null");
  expect_filter_error("tags.a like b", 13, "a pattern in quotes");
  expect_filter_error("3 = params.lr", 1, "expected a key");
}

TEST(FilterErrors, BadWordsArePointedAt) {
  expect_filter_error("tags.team = 'rank", 13, "is never closed");
  expect_filter_error("metrics.\"val = 3", 9, "is never closed");
  expect_filter_error("tags.team = ranking", 13, "text goes in quotes: 'ranking'");
  expect_filter_error("params.lr = 3abc", 13, "3abc is no number");
  expect_filter_error("params.day > 2026-10-03", 14, "go in quotes: '2026-10-03'");
  expect_filter_error("params.lr = 1e-3 && params.x = 1", 18, "'&' has no meaning here");
  expect_filter_error("params.lr = - 3", 13, "a number must follow '-'");
  expect_filter_error("params.lr = $3", 13, "'$' has no meaning here");
  expect_filter_error("params. = 3", 8, "a name must follow 'params.'");
  expect_filter_error("metrics.'val' = 3", 9, "a name must follow 'metrics.'");
  expect_filter_error("\"lr\" = 3", 1, "a quoted name stands behind its kind");
  expect_filter_error("`lr` = 3", 1, "no kind before it");
  expect_filter_error("metrics.`val`min = 3", 14, "expected .min, .max, .last or an operator");
  expect_filter_error("metrics.`val`.mean = 3", 14, "expected .min, .max, .last or an operator");
  expect_filter_error("params.`val`.max = 3", 13, "expected an operator");
}

TEST(FilterErrors, UnknownNamesAreAnsweredWithTheClosest) {
  expect_filter_error("attributes.epoh > 3", 12, "no attribute 'epoh'; did you mean epoch?");
  expect_filter_error("staus = 'failed'", 1, "did you mean status? (a parameter is params.staus");
  expect_filter_error("attributes.`no such thing` = 3", 12, "there are name, run_id");
  expect_filter_error("parms.lr = 3", 1, "did you mean params.?");
  expect_filter_error("status = 'finished'", 10,
                      "no run has the status 'finished'; there are in_progress, completed");
}

TEST(FilterErrors, ValuesFitTheirKeys) {
  expect_filter_error("metrics.auc > '0.9'", 15, "a number beside metrics.auc");
  expect_filter_error("epoch = true", 9, "a number beside epoch");
  expect_filter_error("metrics.auc like '0%'", 13, "is a number, which takes");
  expect_filter_error("best = 1", 8, "true or false beside best");
  expect_filter_error("best > true", 6, "is a boolean");
  expect_filter_error("name = 3", 8, "text in quotes beside name");
  expect_filter_error("status < 'failed'", 8, "is a status");
  expect_filter_error("started = '2026-10-03'", 9, ">= '2026-10-03' and < '2026-10-04'");
  expect_filter_error("started in ('2026-10-03')", 9, "is a time");
  expect_filter_error("started > 3", 11, "expected a time beside started");
  expect_filter_error("params.lr > now-7d", 13, "now is for times only");
}

TEST(FilterErrors, DatesAndDurationsAreChecked) {
  for (const char* date :
       {"2026-13-01", "2026-02-30", "2026-10-3", "2026-10-03T", "2026-10-03T25:00",
        "2026-10-03T10:00:00.", "2026-10-03T10:00+2", "2026-10-03 10:00 x", "yesterday", "",
        "1600-01-01", "2026-10-03T10:00:00.1234567890"}) {
    expect_filter_error(std::string("started > '") + date + "'", 11, "expected a time");
  }
  expect_filter_error("started > now-", 15, "expected a duration after now");
  expect_filter_error("started > now-7", 15, "expected a duration after now");
  expect_filter_error("started > now-d", 15, "expected a duration after now");
  expect_filter_error("started > now - 7dd", 17, "expected a duration after now");
  expect_filter_error("started > now-7y", 11, "2w, 7d, 12h, 30m");
  expect_filter_error("started > now-99999999999999999999d", 11, "2w, 7d, 12h, 30m");
}

TEST(FilterErrors, ColumnsCountCharactersAndStayOnOneLine) {
  expect_filter_error("tags.ü = 'ä'\nand\t?", 18, "'?' has no meaning");
  try {
    Filter::parse("tags.a = 'b'\nand\t?", 0);
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("\n  tags.a = 'b' and ?\n"), std::string::npos);
  }
}

TEST(FilterErrors, NestingHasAnEnd) {
  const std::string open(99, '('), close(99, ')');
  EXPECT_NO_THROW(Filter::parse(open + "params.lr = 3" + close, 0));
  expect_filter_error(std::string(5000, '(') + "params.lr = 3", 101, "nested more than 100 deep");
  std::string nots;
  for (int i = 0; i < 5000; ++i) nots += "not ";
  expect_filter_error(nots + "params.lr = 3", 401, "nested more than 100 deep");
}

TEST(FilterErrors, KeysAndOrdersArePointedAt) {
  const auto key = [](const char* text) { Key::parse(text); };
  const auto order = [](const char* text) { Order::parse(text); };
  expect_error(ErrorCode::invalid_argument, "column 6: expected the end of the key",
               [&] { key("time ="); });
  expect_error(ErrorCode::invalid_argument, "did you mean epoch", [&] { key("epohc"); });
  expect_error(ErrorCode::invalid_argument, "a comma, found tags.b",
               [] { Key::parse_list("tags.a tags.b"); });
  expect_error(ErrorCode::invalid_argument, "expected a key", [] { Key::parse_list("tags.a,"); });
  expect_error(ErrorCode::invalid_argument, "':' has no meaning", [&] { order("metrics.a:mim"); });
  expect_error(ErrorCode::invalid_argument, ":min, :max, :asc or :desc",
               [&] { order("metrics.a down"); });
}

}  // namespace
}  // namespace ckp::test
