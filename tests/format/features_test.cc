#include "ckp/format/features.h"

#include <gtest/gtest.h>

#include "support/expect_error.h"

namespace ckp::format {
namespace {

using test::expect_error;

TEST(Features, WhatThisVersionWritesItReadsAndMayChange) {
  EXPECT_TRUE(check_readable({}, {}, "STORE"));
  EXPECT_TRUE(check_readable({}, known_features, "STORE"));
}

TEST(Features, ALaterWriterIsNoReasonToRefuse) {
  EXPECT_TRUE(check_readable({.write_version = 9, .read_version = 1}, {}, "STORE"));
}

TEST(Features, ALaterReadVersionIsRefusedWithTheVersionThatIsNeeded) {
  expect_error(ErrorCode::newer_format,
               "STORE: needs format version 2 to be read (written by version 3), this ckpstore "
               "knows version 1; use a newer ckpstore",
               [] { check_readable({.write_version = 3, .read_version = 2}, {}, "STORE"); });
}

TEST(Features, UnknownIgnoreBitsAreIgnored) {
  for (int bit = 0; bit < 64; ++bit) {
    EXPECT_TRUE(check_readable({}, {std::uint64_t{1} << bit, 0, 0}, "pack"));
  }
}

TEST(Features, UnknownReadOnlyBitsForbidWritingOnly) {
  for (int bit = 3; bit < 64; ++bit) {
    EXPECT_FALSE(check_readable({}, {0, std::uint64_t{1} << bit, 0}, "pack"));
  }
}

TEST(Features, UnknownRefuseBitsAreRefusedByName) {
  const auto with = [](std::uint64_t bits) {
    return [bits] { check_readable({.write_version = 4}, {0, 0, bits}, "pack"); };
  };
  expect_error(ErrorCode::newer_format, "pack: uses a feature", with(feature::delta));
  expect_error(ErrorCode::newer_format, "cannot read: delta;", with(feature::delta));
  expect_error(ErrorCode::newer_format, "cannot read: delta, bit 63;",
               with(feature::delta | feature::external_references | std::uint64_t{1} << 63));
  expect_error(ErrorCode::newer_format, "written by format version 4", with(feature::delta));
  for (int bit = 2; bit < 64; ++bit) {
    constexpr std::uint64_t known = feature::derived | feature::differences | feature::trash;
    if ((std::uint64_t{1} << bit & known) != 0) continue;
    expect_error(ErrorCode::newer_format, "use one that knows it", with(std::uint64_t{1} << bit));
  }
}

}  // namespace
}  // namespace ckp::format
