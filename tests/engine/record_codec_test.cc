#include "runs/record_codec.h"

#include <gtest/gtest.h>

#include <bit>
#include <limits>

#include "support/expect_error.h"

namespace ckp {
namespace {

using test::expect_error;

Uuid id(int n) {
  Uuid uuid;
  uuid.bytes.fill(static_cast<std::byte>(n));
  return uuid;
}

CheckpointRecord full_checkpoint() {
  return {.id = id(1),
          .run = id(2),
          .run_name = "cnn",
          .commit = 7,
          .attempt = 3,
          .continued_from = id(4),
          .epoch = 5,
          .step = 500,
          .metrics = {{"loss", 0.25},
                      {"nan", std::bit_cast<double>(std::uint64_t{0x7ff0000000000123})},
                      {"inf", -std::numeric_limits<double>::infinity()},
                      {"zero", -0.0}},
          .tags = {{"team", "ranking"}},
          .nonfinite = true,
          .final = true,
          .created_ns = -5,
          .file_size = 100,
          .tensor_bytes = 200,
          .tensor_count = 300,
          .journal = JournalMark{.journal = id(5), .length = 999, .digest = {.low = 1, .high = 2}},
          .writer = "ckpstore 0.1.0",
          .salvaged_from = id(6),
          .missing = {"model/weight"}};
}

RunRecord full_run() {
  return {.id = id(1),
          .name = "cnn",
          .directory = "cnn-01",
          .experiment = "sweep",
          .parameters = {{"lr", 0.01}, {"layers", Value::List{1, 2}}},
          .tags = {{"team", "ranking"}},
          .environment = {{"host", "h"}},
          .data = {{"version", "2026-08"}},
          .directions = {{"val/loss", Better::lower}, {"val/auc", Better::higher}},
          .best_metric = "val/auc",
          .parent =
              ParentCheckpoint{
                  .checkpoint = id(7), .run = id(8), .run_name = "base", .epoch = 4, .step = 500},
          .created_ns = 1234,
          .status = RunStatus::failed,
          .attempts = {{.number = 1, .continued_from = {}, .started_ns = 5, .pid = 10, .host = "a"},
                       {.number = 2,
                        .continued_from = id(9),
                        .host = "b",
                        .continued_attempt = 1,
                        .continued_commit = 7,
                        .continued_step = 0,
                        .parameters = {{"lr", 0.02}},
                        .environment = {{"host", "b"}},
                        .data = {{"version", "2026-09"}},
                        .devices = 0.5,
                        .last_seen_ns = 9,
                        .previous_seen_ns = 8}}};
}

TEST(RecordCodec, FactsLeaveOutWhatThePackTells) {
  const CheckpointRecord record = full_checkpoint();
  const Value::Map facts = manifest_facts(record);
  for (const char* key : {"id", "commit", "file_size", "tensor_bytes", "tensor_count"}) {
    EXPECT_FALSE(facts.contains(key)) << key;
  }
  CheckpointRecord expected = record;
  expected.id = {};
  expected.commit = expected.file_size = expected.tensor_bytes = expected.tensor_count = 0;
  EXPECT_EQ(record_from_facts(facts), expected);
}

TEST(RecordCodec, TheKeysOfTheFacts) {
  const Value::Map facts = manifest_facts(full_checkpoint());
  EXPECT_EQ(facts.at("run_id"), Value(Value::Bytes(16, std::byte{2})));
  EXPECT_EQ(facts.at("attempt"), Value(3));
  EXPECT_EQ(facts.at("continued_from"), Value(Value::Bytes(16, std::byte{4})));
  EXPECT_EQ(facts.at("metrics").find("loss")->as_double(), 0.25);
  Value::Bytes digest(16);
  digest[0] = std::byte{1};
  digest[8] = std::byte{2};
  EXPECT_EQ(facts.at("journal"),
            Value(Value::Map{
                {"id", Value::Bytes(16, std::byte{5})}, {"length", 999}, {"digest", digest}}));
}

TEST(RecordCodec, AbsentThingsHaveNoKey) {
  const Value::Map facts = manifest_facts(CheckpointRecord{});
  for (const char* key : {"run_id", "continued_from", "journal"}) {
    EXPECT_FALSE(facts.contains(key)) << key;
  }
  EXPECT_EQ(record_from_facts(facts), CheckpointRecord{});
  EXPECT_EQ(record_from_facts({}), CheckpointRecord{});
  EXPECT_EQ(record_from_facts({{"continued_from", nullptr}}), CheckpointRecord{});
}

TEST(RecordCodec, CheckpointsSurviveCbor) {
  const CheckpointRecord record = full_checkpoint();
  EXPECT_EQ(checkpoint_from_value(from_cbor(to_cbor(to_value(record)))), record);
  EXPECT_EQ(checkpoint_from_value(to_value(CheckpointRecord{})), CheckpointRecord{});
}

TEST(RecordCodec, RunsSurviveCbor) {
  const RunRecord run = full_run();
  EXPECT_EQ(run_from_value(from_cbor(to_cbor(to_value(run)))), run);
  EXPECT_EQ(run_from_value(to_value(RunRecord{})), RunRecord{});
  RunRecord tuned = run;
  tuned.parent->run = {};  // a standalone file
  EXPECT_EQ(run_from_value(from_cbor(to_cbor(to_value(tuned)))), tuned);
}

TEST(RecordCodec, LaterFactsSurviveTheIndexAndStayOutOfAManifest) {
  CheckpointRecord one = full_checkpoint();
  one.later = {
      {LaterFact::Kind::tag, "good", true, 1, "a@b"},
      {LaterFact::Kind::metric, "auc", std::bit_cast<double>(0x7ff0000000000123), 2, "a@b"},
      {LaterFact::Kind::tag_removed, "good", {}, 3, "a@b"},
      {LaterFact::Kind::note, "", "text", -4, ""}};
  EXPECT_EQ(checkpoint_from_value(from_cbor(to_cbor(to_value(one)))), one);
  EXPECT_FALSE(manifest_facts(one).contains("later"));
  RunRecord run;
  run.later = {one.later[3]};
  EXPECT_EQ(run_from_value(to_value(run)).later, run.later);
  for (const Value::Map& bad :
       {Value::Map{{"kind", "rumour"}}, Value::Map{},
        Value::Map{{"kind", "metric"}, {"value", "0.5"}}, Value::Map{{"kind", "metric"}}}) {
    expect_error(ErrorCode::corrupt, "later fact", [&] { later_fact_from(bad); });
  }
}

TEST(RecordCodec, JournalPayloads) {
  const RunRecord run = full_run();
  RunRecord created = run_from_created(from_cbor(to_cbor(run_created_payload(run))));
  EXPECT_TRUE(created.id.is_nil());
  EXPECT_EQ(created.status, RunStatus::in_progress);
  created.id = run.id;
  created.directory = run.directory;
  created.status = run.status;
  created.attempts = run.attempts;
  EXPECT_EQ(created, run);
  for (const Attempt& attempt : run.attempts) {
    EXPECT_EQ(attempt_from_payload(attempt_payload(attempt)), attempt);
  }
  for (const RunStatus status :
       {RunStatus::in_progress, RunStatus::completed, RunStatus::failed, RunStatus::interrupted}) {
    EXPECT_EQ(status_from_payload(status_payload(status)), status);
    EXPECT_EQ(time_from_payload(status_payload(status)), 0);
    EXPECT_EQ(time_from_payload(status_payload(status, 77)), 77);
  }
}

TEST(RecordCodec, UnknownKeysAreSkipped) {
  Value::Map facts = manifest_facts(full_checkpoint());
  const CheckpointRecord record = record_from_facts(facts);
  facts.emplace("of a later version", Value::List{1, "x"});
  EXPECT_EQ(record_from_facts(facts), record);
}

// Each field with a value of another type.
TEST(RecordCodec, WrongTypesAreDamage) {
  const Value::Map good = manifest_facts(full_checkpoint());
  for (const auto& entry : good) {
    Value::Map facts = good;
    facts[entry.first] = 1.5;
    expect_error(ErrorCode::corrupt, "checkpoint: field \"" + entry.first + "\": expected",
                 [&] { (void)record_from_facts(facts); });
  }
  const Value run = to_value(full_run());
  for (const auto& entry : run.as_map()) {
    Value changed = run;
    changed[entry.first] = 1.5;
    expect_error(ErrorCode::corrupt, "run record: field \"" + entry.first + "\": expected",
                 [&] { (void)run_from_value(changed); });
  }
}

TEST(RecordCodec, ValuesOutOfRangeAreDamage) {
  const auto refused = [](const char* key, Value value, std::string_view why) {
    Value::Map facts = manifest_facts(full_checkpoint());
    facts[key] = std::move(value);
    expect_error(ErrorCode::corrupt, why, [&] { (void)record_from_facts(facts); });
  };
  refused("attempt", -1, "field \"attempt\": expected 0 to 2^32 - 1, found -1");
  refused("attempt", std::int64_t{1} << 32, "found 4294967296");
  refused("run_id", Value::Bytes(15), "field \"run_id\": expected 16 bytes, found 15 bytes");
  refused("metrics", Value::Map{{"loss", "low"}},
          "field \"metrics/loss\": expected a double, found text");
  refused("journal", Value::Map{{"length", -1}},
          "journal mark: field \"length\": expected 0 or more, found -1");
  refused("journal", Value::Map{{"digest", Value::Bytes(17)}}, "expected 16 bytes, found 17 bytes");

  Value run = to_value(full_run());
  run["status"] = "sleeping";
  expect_error(ErrorCode::corrupt,
               "field \"status\": expected in_progress, completed, failed or interrupted, found "
               "sleeping",
               [&] { (void)run_from_value(run); });
  run = to_value(full_run());
  run["directions"]["val/loss"] = "sideways";
  expect_error(ErrorCode::corrupt, "expected lower or higher, found sideways",
               [&] { (void)run_from_value(run); });
  expect_error(ErrorCode::corrupt, "run record: expected a map, found text",
               [] { (void)run_from_value("x"); });
}

// What an attempt has not said takes no byte: an earlier version has written the same.
TEST(RecordCodec, AnAttemptWithoutFactsHasTheirKeysNot) {
  const Value payload = attempt_payload(Attempt{});
  EXPECT_EQ(payload.as_map().size(), 4u);
  EXPECT_EQ(run_created_payload(RunRecord{}).as_map().size(), 8u);
  EXPECT_EQ(status_payload(RunStatus::failed).as_map().size(), 1u);
}

TEST(RecordCodec, FactsOfAttemptsThatMakeNoSenseAreDamage) {
  const auto refused = [](const char* key, Value value, std::string_view why) {
    Value payload = attempt_payload(full_run().attempts.back());
    payload[key] = std::move(value);
    expect_error(ErrorCode::corrupt, why, [&] { (void)attempt_from_payload(payload); });
  };
  refused("devices", -1.0, "field \"devices\": expected 0 or more, found -1");
  refused("devices", std::numeric_limits<double>::quiet_NaN(), "found nan");
  refused("devices", "two", "expected a double, found text");
  refused("environment", 7, "expected a map, found an integer");
  refused("continued_step", -2, "field \"continued_step\"");
}

// Facts about a checkpoint that is not named say nothing.
TEST(RecordCodec, WhatBelongsToAnAbsentCheckpointIsIgnored) {
  const Attempt attempt = attempt_from_payload(
      Value::Map{{"number", 2}, {"continued_attempt", 1}, {"continued_commit", 7}});
  Attempt expected;
  expected.number = 2;
  EXPECT_EQ(attempt, expected);
}

}  // namespace
}  // namespace ckp
