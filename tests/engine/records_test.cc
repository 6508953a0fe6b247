#include "ckp/records.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <time.h>

#include <limits>

#include "support/expect_error.h"

namespace ckp {
namespace {

using test::expect_error;

// The local time zone for one test.
class Zone {
 public:
  explicit Zone(const char* name) {
    ::setenv("TZ", name, 1);
    ::tzset();
  }
  ~Zone() {
    ::unsetenv("TZ");
    ::tzset();
  }
};

TEST(Records, Statuses) {
  EXPECT_EQ(to_string(RunStatus::in_progress), "in_progress");
  EXPECT_EQ(to_string(RunStatus::completed), "completed");
  EXPECT_EQ(to_string(RunStatus::failed), "failed");
  EXPECT_EQ(to_string(RunStatus::interrupted), "interrupted");
}

TEST(Records, IsoTimesAreUtc) {
  const Zone zone("XXX-5:30");
  EXPECT_EQ(iso_time(0), "1970-01-01T00:00:00.000000Z");
  EXPECT_EQ(iso_time(1795407124'123456789), "2026-11-23T04:12:04.123456Z");
  EXPECT_EQ(iso_time(-1), "1969-12-31T23:59:59.999999Z");
}

TEST(Records, LocalTimesCarryTheirOffset) {
  {
    const Zone zone("XXX-1");
    EXPECT_EQ(local_time(1795407124'123456789), "2026-11-23 05:12:04 +01:00");
  }
  {
    const Zone zone("XXX3:30");
    EXPECT_EQ(local_time(1795407124'000000000), "2026-11-23 00:42:04 -03:30");
  }
}

TEST(Records, CheckpointsCompareMetricsByTheirBits) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CheckpointRecord a;
  a.metrics = {{"loss", nan}, {"zero", 0.0}};
  CheckpointRecord b = a;
  EXPECT_EQ(a, b);
  b.metrics["zero"] = -0.0;
  EXPECT_FALSE(a == b);
  b = a;
  b.metrics["more"] = 1;
  EXPECT_FALSE(a == b);
}

TEST(Records, EveryFieldOfACheckpointCounts) {
  const CheckpointRecord plain;
  const auto differs = [&](auto change) {
    CheckpointRecord changed = plain;
    change(changed);
    return !(changed == plain);
  };
  Uuid id;
  id.bytes[0] = std::byte{1};
  EXPECT_TRUE(differs([&](auto& r) { r.id = id; }));
  EXPECT_TRUE(differs([&](auto& r) { r.run = id; }));
  EXPECT_TRUE(differs([](auto& r) { r.run_name = "x"; }));
  EXPECT_TRUE(differs([](auto& r) { r.commit = 1; }));
  EXPECT_TRUE(differs([](auto& r) { r.attempt = 1; }));
  EXPECT_TRUE(differs([&](auto& r) { r.continued_from = id; }));
  EXPECT_TRUE(differs([](auto& r) { r.epoch = 1; }));
  EXPECT_TRUE(differs([](auto& r) { r.step = 1; }));
  EXPECT_TRUE(differs([](auto& r) { r.tags["x"] = 1; }));
  EXPECT_TRUE(differs([](auto& r) { r.nonfinite = true; }));
  EXPECT_TRUE(differs([](auto& r) { r.final = true; }));
  EXPECT_TRUE(differs([](auto& r) { r.created_ns = 1; }));
  EXPECT_TRUE(differs([](auto& r) { r.file_size = 1; }));
  EXPECT_TRUE(differs([](auto& r) { r.tensor_bytes = 1; }));
  EXPECT_TRUE(differs([](auto& r) { r.tensor_count = 1; }));
  EXPECT_TRUE(differs([](auto& r) { r.journal.emplace(); }));
  EXPECT_TRUE(differs([](auto& r) { r.writer = "x"; }));
}

TEST(Records, RunNames) {
  check_run_name("cnn-lr3");
  check_run_name("Größe / 模型 (2) ../x");
  check_run_name(std::string(200, 'a'));
  const auto refused = [](std::string_view name, std::string_view why) {
    expect_error(ErrorCode::invalid_argument, why, [&] { check_run_name(name); });
  };
  refused("", "run name is empty; a run's name is UTF-8, 1 to 200 bytes");
  refused(std::string(201, 'a'), "run name has 201 bytes, more than 200");
  refused("a\xff", "no valid UTF-8");
  refused("a\nb", "a control character at byte 1");
  refused(std::string_view("a\0b", 3), "a control character at byte 1");
  refused("\x7f", "a control character at byte 0");
  refused("ab\xc2\x85", "a control character at byte 2");  // U+0085
  refused("me@home", "run name \"me@home\" contains '@'");
  check_run_name("\xc2\xa0\xc3\x85");  // U+00A0, U+00C5: their bytes look like controls
}

}  // namespace
}  // namespace ckp
