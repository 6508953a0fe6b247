#include "ckp/address.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "ckp/query.h"
#include "engine/run_samples.h"
#include "io/host.h"
#include "support/expect_error.h"
#include "support/seed.h"

namespace ckp {
namespace {

using test::checkpoint;
using test::expect_error;
using test::id_of;
using Kind = Address::Kind;

struct Parsed {
  std::string text;
  Kind kind;
  std::string run;
  std::int64_t number = 0;
  std::string metric = {};
  std::optional<Better> better = {};
  std::string id = {};
};

class AddressForms : public testing::TestWithParam<Parsed> {};

TEST_P(AddressForms, AreUnderstood) {
  const Parsed& expected = GetParam();
  const Address address = parse_address(expected.text);
  EXPECT_EQ(address.kind, expected.kind);
  EXPECT_EQ(address.run, expected.run);
  EXPECT_EQ(address.number, expected.number);
  EXPECT_EQ(address.metric, expected.metric);
  EXPECT_EQ(address.better, expected.better);
  EXPECT_EQ(address.text, expected.id);
}

INSTANTIATE_TEST_SUITE_P(
    Address, AddressForms,
    testing::Values(
        Parsed{"cnn", Kind::latest, "cnn"}, Parsed{"cnn@latest", Kind::latest, "cnn"},
        Parsed{"a run: with/signs", Kind::latest, "a run: with/signs"},
        Parsed{"cnn@final", Kind::final, "cnn"}, Parsed{"cnn@7", Kind::epoch, "cnn", 7},
        Parsed{"cnn@0", Kind::epoch, "cnn", 0}, Parsed{"cnn@epoch:12", Kind::epoch, "cnn", 12},
        Parsed{"cnn@123456", Kind::epoch, "cnn", 123456},
        Parsed{"cnn@step:5000", Kind::step, "cnn", 5000}, Parsed{"cnn@best", Kind::best, "cnn"},
        Parsed{"cnn@best:val/loss", Kind::best, "cnn", 0, "val/loss"},
        Parsed{"cnn@best:val/loss:min", Kind::best, "cnn", 0, "val/loss", Better::lower},
        Parsed{"cnn@best:val/auc:max", Kind::best, "cnn", 0, "val/auc", Better::higher},
        Parsed{"cnn@best:recall@10:max", Kind::best, "cnn", 0, "recall@10", Better::higher},
        Parsed{"cnn@best:a:b", Kind::best, "cnn", 0, "a:b"},
        Parsed{"cnn@best:min", Kind::best, "cnn", 0, "min"},
        Parsed{"cnn@deadbe", Kind::id, "cnn", 0, "", {}, "deadbe"},
        Parsed{"cnn@12345F", Kind::id, "cnn", 0, "", {}, "12345f"},
        Parsed{"cnn@00000000000000000000000000000001",
               Kind::id,
               "cnn",
               0,
               "",
               {},
               "00000000000000000000000000000001"},
        Parsed{"@deadbeef", Kind::id, "", 0, "", {}, "deadbeef"},
        Parsed{"@production", Kind::alias, "", 0, "", {}, "production"},
        Parsed{"@beef", Kind::alias, "", 0, "", {}, "beef"}));

TEST(Address, AShortIdIsNeverReadAsAnEpoch) {
  for (int i = 0; i < 10'000; ++i) {
    const std::string text = "cnn@" + random_uuid().short_hex();
    ASSERT_EQ(parse_address(text).kind, Kind::id) << text;
  }
}

TEST(Address, WhatItIsNotIsRefusedWithAllForms) {
  const std::pair<std::string, std::string> refused[] = {
      {"", "it is empty"},
      {"cnn@", "nothing stands after"},
      {"@", "nothing stands after"},
      {"@latest", "the run is missing"},
      {"@7", "the run is missing"},
      {"@best:loss", "the run is missing"},
      {"cnn@epoch:", "\"\" is no epoch number"},
      {"cnn@epoch:-1", "\"-1\" is no epoch number"},
      {"cnn@epoch:1.5", "\"1.5\" is no epoch number"},
      {"cnn@step:many", "\"many\" is no step number"},
      {"cnn@99999999999999999999", "is no epoch number"},
      {"cnn@best:", "the name of a metric is missing"},
      {"cnn@best::min", "the name of a metric is missing"},
      {"cnn@production", "\"@production\" is not understood"},
      {"cnn@-3", "\"@-3\" is not understood"},
      {"cnn@beef", "\"@beef\" is not understood"}};
  for (const auto& [text, why] : refused) {
    SCOPED_TRACE(text);
    expect_error(ErrorCode::invalid_argument, why, [&, text = text] { parse_address(text); });
    expect_error(ErrorCode::invalid_argument, "RUN@best:METRIC:min",
                 [&, text = text] { parse_address(text); });
  }
}

// Epochs 0 to 4, of which attempt 2, from epoch 2, has left 3 and 4 behind and made another 3.
class Resolving : public testing::Test {
 protected:
  Resolving() {
    run_.name = "cnn";
    run_.directions = {{"val/loss", Better::lower}};
    run_.attempts = {{1, std::nullopt, 0, 0, ""}, {2, id_of(0xabcdef02), 0, 0, ""}};
    for (std::uint32_t i = 0; i < 5; ++i) {
      all_.push_back(checkpoint(0xabcdef00 + i, i, 1, i));
      all_.back().metrics = {{"val/loss", 1.0 / (i + 1)}, {"note", i % 2 == 0 ? 1.0 : 2.0}};
    }
    all_.push_back(checkpoint(0x77aa0000, 9, 2, 3));
    all_.back().metrics = {{"val/loss", 0.5}};
  }
  std::uint64_t commit(const std::string& text) {
    return resolve(parse_address(text), run_, all_).commit;
  }
  void expect(ErrorCode code, const std::string& text, const std::string& part) {
    expect_error(code, part, [&] { commit(text); });
  }

  RunRecord run_;
  std::vector<CheckpointRecord> all_;
};

TEST_F(Resolving, FollowsTheCurrentLine) {
  EXPECT_EQ(commit("cnn"), 9u);
  EXPECT_EQ(commit("cnn@3"), 9u);
  EXPECT_EQ(commit("cnn@epoch:2"), 2u);
  EXPECT_EQ(commit("cnn@step:100"), 1u);
  EXPECT_EQ(commit("cnn@best:val/loss"), 2u);
  EXPECT_EQ(commit("cnn@best:val/loss:max"), 0u);
  EXPECT_EQ(commit("cnn@best:note:max"), 1u);
}

TEST_F(Resolving, AnIdFindsSupersededOnesToo) {
  EXPECT_EQ(commit("cnn@abcdef04"), 4u);
  EXPECT_EQ(commit("@77aa00"), 9u);
  expect(ErrorCode::invalid_argument, "cnn@abcdef", "5 checkpoints have an id that begins so");
  expect(ErrorCode::invalid_argument, "cnn@abcdef", "epoch 4, step 400");
  expect(ErrorCode::not_found, "cnn@123abc", "no checkpoint of the run has an id that begins so");
}

TEST_F(Resolving, OfSeveralWithOneEpochTheLastIsMeant) {
  all_.push_back(checkpoint(1, 10, 2, 3));
  EXPECT_EQ(commit("cnn@3"), 10u);
}

TEST_F(Resolving, SaysWhichEpochsThereAre) {
  expect(ErrorCode::not_found, "cnn@8", "no checkpoint of epoch 8; there are epochs 0, 1, 2, 3");
  expect(ErrorCode::not_found, "cnn@step:5", "there are steps 0, 100, 200, 300");
  expect(ErrorCode::not_found, "cnn@4", "a superseded one is cnn@abcdef04");
  for (std::uint32_t i = 10; i < 40; ++i) all_.push_back(checkpoint(i, 100 + i, 2, 2 * i));
  expect(ErrorCode::not_found, "cnn@41", "34, 36, 38, 40, 42, 44, 46, 48 and 25 more");
}

TEST_F(Resolving, ADirectionIsNeverGuessed) {
  expect(ErrorCode::invalid_argument, "cnn@best:note", "say @best:note:min or :max");
  expect(ErrorCode::invalid_argument, "cnn@best", "declares no best metric");
  run_.best_metric = "val/loss";
  EXPECT_EQ(commit("cnn@best"), 2u);
}

TEST_F(Resolving, SaysWhichMetricsThereAre) {
  expect(ErrorCode::not_found, "cnn@best:acc:max", "it has note, val/loss");
  for (auto& one : all_) one.metrics.clear();
  expect(ErrorCode::not_found, "cnn@best:acc:max", "have no metrics");
}

TEST_F(Resolving, FinalIsWhatWasSavedAsTheEnd) {
  expect(ErrorCode::not_found, "cnn@final", "the latest is epoch 3, step 300");
  all_[4].final = true;  // superseded
  expect(ErrorCode::not_found, "cnn@final", "no checkpoint was saved as the end");
  all_[5].final = true;
  EXPECT_EQ(commit("cnn@final"), 9u);
}

TEST_F(Resolving, LatestMayBeNonfiniteAndBestNever) {
  all_[5].nonfinite = true;
  EXPECT_EQ(commit("cnn@latest"), 9u);
  all_[2].nonfinite = true;
  EXPECT_EQ(commit("cnn@best:val/loss"), 1u);
}

TEST_F(Resolving, SaysThatThereIsNothing) {
  run_.attempts.push_back({3, std::nullopt, 0, 0, ""});
  expect(ErrorCode::not_found, "cnn", "6 superseded ones are listed by: ckptool ls cnn --all");
  all_.clear();
  for (const std::string text : {"cnn", "cnn@3", "cnn@final", "cnn@best:val/loss"}) {
    expect(ErrorCode::not_found, text, "the run has no checkpoints yet");
  }
  expect(ErrorCode::not_found, "@production", "belongs to the store");
}

// Every answer against the plain reading of what it should be.
TEST(Address, RandomHistoriesAreAnsweredAsANaiveReaderWould) {
  std::mt19937_64 random(test::seed(20269));
  for (int i = 0; i < 1000; ++i) {
    const test::History history = test::random_history(random);
    const auto expect_last = [&](const std::string& text, const auto& matches) {
      std::optional<std::uint64_t> expected, found;
      for (const auto& one : history.line) {
        if (matches(one)) expected = one.commit;
      }
      try {
        found = resolve(parse_address(text), history.run, history.all).commit;
      } catch (const Error& error) {
        ASSERT_EQ(error.code(), ErrorCode::not_found) << error.what();
      }
      ASSERT_EQ(found, expected) << text << " in history " << i;
    };
    expect_last("cnn", [](const auto&) { return true; });
    for (std::int64_t n = 0; n < 8; ++n) {
      expect_last("cnn@" + std::to_string(n), [&](const auto& one) { return one.epoch == n; });
      expect_last("cnn@step:" + std::to_string(10 * n),
                  [&](const auto& one) { return one.step == 10 * n; });
    }
    const auto winner = best(history.line, "auc", Better::higher);
    expect_last("cnn@best:auc", [&](const auto& one) { return winner && one.id == winner->id; });
    for (const auto& one : history.all) {
      ASSERT_EQ(resolve(parse_address("cnn@" + one.id.hex()), history.run, history.all), one);
    }
  }
}

}  // namespace
}  // namespace ckp
