#include "ckp/value.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "support/expect_error.h"

namespace ckp {
namespace {

using test::expect_error;

TEST(Value, HoldsEachKind) {
  EXPECT_TRUE(Value().is_null());
  EXPECT_TRUE(Value(nullptr).is_null());
  EXPECT_TRUE(Value(true).as_bool());
  EXPECT_EQ(Value(-7).as_int(), -7);
  EXPECT_EQ(Value(std::uint64_t{7}).as_int(), 7);
  EXPECT_EQ(Value(0.5).as_double(), 0.5);
  EXPECT_EQ(Value("text").as_string(), "text");
  EXPECT_EQ(Value(std::string_view("text")).as_string(), "text");
  EXPECT_EQ(Value(Value::Bytes(3)).as_bytes().size(), 3u);
  EXPECT_EQ(Value(Value::List{1, "two"}).as_list().size(), 2u);
  EXPECT_EQ(Value(Value::Map{{"a", 1}}).as_map().size(), 1u);
}

TEST(Value, NumbersAreIntegersAndDoubles) {
  EXPECT_TRUE(Value(1).is_number());
  EXPECT_TRUE(Value(1.5).is_number());
  EXPECT_EQ(Value(3).as_double(), 3.0);
  EXPECT_FALSE(Value("1").is_number());
  EXPECT_FALSE(Value(true).is_number());
  EXPECT_FALSE(Value().is_number());
}

TEST(Value, TheWrongKindIsAnErrorThatNamesBoth) {
  const auto wrong = [](std::string_view message, auto read) {
    expect_error(ErrorCode::invalid_argument, message, read);
  };
  wrong("value: expected an integer, found a string", [] { Value("x").as_int(); });
  wrong("value: expected an integer, found a double", [] { Value(1.0).as_int(); });
  wrong("value: expected a number, found null", [] { Value().as_double(); });
  wrong("value: expected a boolean, found an integer", [] { Value(1).as_bool(); });
  wrong("value: expected a string, found bytes", [] { Value(Value::Bytes{}).as_string(); });
  wrong("value: expected bytes, found a list", [] { Value(Value::List{}).as_bytes(); });
  wrong("value: expected a list, found a map", [] { Value(Value::Map{}).as_list(); });
  wrong("value: expected a map, found a boolean", [] { Value(false).as_map(); });
}

TEST(Value, UnsignedAboveInt64IsAnError) {
  constexpr std::uint64_t limit = std::numeric_limits<std::int64_t>::max();
  EXPECT_EQ(Value(limit).as_int(), std::numeric_limits<std::int64_t>::max());
  expect_error(ErrorCode::invalid_argument, "integer 9223372036854775808 is above 2^63 - 1",
               [] { Value(limit + 1); });
}

TEST(Value, FindLooksIntoMapsOnly) {
  const Value map = Value::Map{{"a", 1}, {"b", Value::Map{{"c", 2}}}};
  ASSERT_NE(map.find("a"), nullptr);
  EXPECT_EQ(map.find("a")->as_int(), 1);
  EXPECT_EQ(map.find("b")->find("c")->as_int(), 2);
  EXPECT_EQ(map.find("z"), nullptr);
  EXPECT_EQ(Value(1).find("a"), nullptr);
  EXPECT_EQ(Value().find("a"), nullptr);
}

TEST(Value, IndexingMakesMembers) {
  Value value;
  value["a"]["b"] = 1;
  value["a"]["c"] = 2;
  value["a"]["b"] = 3;
  EXPECT_EQ(value, Value(Value::Map{{"a", Value::Map{{"b", 3}, {"c", 2}}}}));
  expect_error(ErrorCode::invalid_argument, "expected a map, found an integer",
               [] { Value(1)["a"]; });
}

TEST(Value, DoublesCompareByTheirBits) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(Value(nan), Value(nan));
  EXPECT_EQ(Value(Value::List{nan}), Value(Value::List{nan}));
  EXPECT_FALSE(Value(nan) == Value(std::bit_cast<double>(std::bit_cast<std::uint64_t>(nan) + 1)));
  EXPECT_FALSE(Value(0.0) == Value(-0.0));
  EXPECT_FALSE(Value(1) == Value(1.0));
  EXPECT_FALSE(Value(0) == Value(false));
  EXPECT_FALSE(Value(Value::List{0.0}) == Value(Value::List{-0.0}));
}

TEST(Utf8, ValidText) {
  for (const std::string_view text :
       {"", "ascii", "\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
        "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf",
        "gr\xc3\xbc\xc3\x9f \xe2\x82\xac"}) {
    EXPECT_TRUE(is_utf8(text)) << text;
  }
  EXPECT_TRUE(is_utf8(std::string_view("a\0b", 3)));
}

TEST(Utf8, InvalidText) {
  for (const std::string_view text : {"\x80",
                                      "\xbf",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xe0\x80\x80",
                                      "\xe0\x9f\xbf",
                                      "\xed\xa0\x80",
                                      "\xed\xbf\xbf",
                                      "\xf0\x80\x80\x80",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xff",
                                      "\xfe",
                                      "\xc2",
                                      "\xc2\x41",
                                      "\xe2\x82",
                                      "\xe2\x41\x80",
                                      "\xe2\x82\x41",
                                      "\xf0\x90\x80",
                                      "\xf0\x90\x80\x41",
                                      "ok\xe2\x82"}) {
    EXPECT_FALSE(is_utf8(text)) << text;
  }
}

// Every code point, written by hand, is taken, and no other sequence of its length.
TEST(Utf8, ExactlyTheScalarValuesUpToThreeBytes) {
  std::size_t accepted = 0;
  for (unsigned bits = 0; bits < 1u << 24; bits += 1) {
    const char text[3] = {static_cast<char>(bits >> 16), static_cast<char>(bits >> 8),
                          static_cast<char>(bits)};
    const bool lead = (bits >> 20) == 0xe;
    if (!lead) continue;
    accepted += is_utf8(std::string_view(text, 3)) ? 1 : 0;
  }
  EXPECT_EQ(accepted, 0x10000u - 0x800u - 0x800u);
}

}  // namespace
}  // namespace ckp
