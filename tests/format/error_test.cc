#include "ckp/error.h"

#include <gtest/gtest.h>

namespace ckp {
namespace {

TEST(Error, EveryCodeIsSpelledAsItsEnumerator) {
  EXPECT_EQ(to_string(ErrorCode::not_found), "not_found");
  EXPECT_EQ(to_string(ErrorCode::already_exists), "already_exists");
  EXPECT_EQ(to_string(ErrorCode::corrupt), "corrupt");
  EXPECT_EQ(to_string(ErrorCode::out_of_space), "out_of_space");
  EXPECT_EQ(to_string(ErrorCode::newer_format), "newer_format");
  EXPECT_EQ(to_string(ErrorCode::read_only), "read_only");
  EXPECT_EQ(to_string(ErrorCode::locked), "locked");
  EXPECT_EQ(to_string(ErrorCode::invalid_argument), "invalid_argument");
  EXPECT_EQ(to_string(ErrorCode::mismatch), "mismatch");
  EXPECT_EQ(to_string(ErrorCode::unsupported), "unsupported");
  EXPECT_EQ(to_string(ErrorCode::out_of_resources), "out_of_resources");
  EXPECT_EQ(to_string(ErrorCode::io), "io");
  EXPECT_EQ(to_string(static_cast<ErrorCode>(99)), "unknown");
}

TEST(Error, KeepsCodeAndMessage) {
  const Error error(ErrorCode::locked, "store is busy");
  EXPECT_EQ(error.code(), ErrorCode::locked);
  EXPECT_STREQ(error.what(), "store is busy");
}

}  // namespace
}  // namespace ckp
