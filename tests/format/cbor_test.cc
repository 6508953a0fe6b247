#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "ckp/format/limits.h"
#include "ckp/format/wire.h"
#include "ckp/value.h"
#include "support/expect_error.h"
#include "support/seed.h"

namespace ckp {
namespace {

using format::limits::cbor_depth;
using test::expect_error;

std::vector<std::byte> from_hex(std::string_view hex) {
  std::vector<std::byte> bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<std::byte>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  }
  return bytes;
}

std::string to_hex(std::span<const std::byte> bytes) {
  std::string hex;
  for (const std::byte b : bytes) {
    for (const unsigned digit :
         {std::to_integer<unsigned>(b) >> 4, std::to_integer<unsigned>(b) & 15})
      hex += "0123456789abcdef"[digit];
  }
  return hex;
}

Value parse(std::string_view hex) { return from_cbor(from_hex(hex)); }

void expect_corrupt(std::string_view hex, std::string_view message) {
  SCOPED_TRACE(hex);
  expect_error(ErrorCode::corrupt, message, [&] { parse(hex); });
}

constexpr auto int64_min = std::numeric_limits<std::int64_t>::min();
constexpr auto int64_max = std::numeric_limits<std::int64_t>::max();

// The examples of RFC 8949, appendix A, that fall in the profile.
TEST(Cbor, EncodesAsTheStandardSays) {
  const std::pair<Value, std::string_view> cases[] = {
      {nullptr, "f6"},
      {false, "f4"},
      {true, "f5"},
      {0, "00"},
      {1, "01"},
      {10, "0a"},
      {23, "17"},
      {24, "1818"},
      {25, "1819"},
      {100, "1864"},
      {255, "18ff"},
      {256, "190100"},
      {1000, "1903e8"},
      {65535, "19ffff"},
      {65536, "1a00010000"},
      {1000000, "1a000f4240"},
      {std::int64_t{0xffffffff}, "1affffffff"},
      {std::int64_t{0x100000000}, "1b0000000100000000"},
      {std::int64_t{1000000000000}, "1b000000e8d4a51000"},
      {int64_max, "1b7fffffffffffffff"},
      {-1, "20"},
      {-10, "29"},
      {-24, "37"},
      {-25, "3818"},
      {-100, "3863"},
      {-256, "38ff"},
      {-257, "390100"},
      {-1000, "3903e7"},
      {int64_min, "3b7fffffffffffffff"},
      {1.1, "fb3ff199999999999a"},
      {0.0, "fb0000000000000000"},
      {-0.0, "fb8000000000000000"},
      {"", "60"},
      {"IETF", "6449455446"},
      {"\xc3\xbc", "62c3bc"},
      {Value::Bytes{}, "40"},
      {Value(from_hex("01020304")), "4401020304"},
      {Value::List{}, "80"},
      {Value(Value::List{1, Value::List{2, 3}, Value::List{4, 5}}), "8301820203820405"},
      {Value::Map{}, "a0"},
      {Value(Value::Map{{"a", 1}, {"b", Value::List{2, 3}}}), "a26161016162820203"},
  };
  for (const auto& [value, hex] : cases) {
    EXPECT_EQ(to_hex(to_cbor(value)), hex);
    EXPECT_EQ(parse(hex), value) << hex;
  }
}

TEST(Cbor, MapKeysStandInByteOrder) {
  const Value map = Value::Map{{"\xc3\xbc", 4}, {"b", 3}, {"", 1}, {"aa", 2}};
  EXPECT_EQ(to_hex(to_cbor(map)), "a460016261610261620362c3bc04");
}

TEST(Cbor, TakesWhatOthersWrite) {
  EXPECT_EQ(parse("1801"), Value(1)) << "long form of a small integer";
  EXPECT_EQ(parse("1b0000000000000001"), Value(1));
  EXPECT_EQ(parse("580161"), Value(Value::Bytes{std::byte{0x61}}));
  EXPECT_EQ(parse("a2616202616101"), Value(Value::Map({{"a", 1}, {"b", 2}}))) << "unsorted keys";
  EXPECT_EQ(parse("c11a514b67b0"), Value(1363896240)) << "tag";
  EXPECT_EQ(parse("c1c2d8200a"), Value(10)) << "tags in tags";
  EXPECT_EQ(parse("a16161c101"), Value(Value::Map{{"a", 1}}));
}

TEST(Cbor, WidensSmallFloatsExactly) {
  EXPECT_EQ(parse("f93c00"), Value(1.0));
  EXPECT_EQ(parse("f93e00"), Value(1.5));
  EXPECT_EQ(parse("f97bff"), Value(65504.0));
  EXPECT_EQ(parse("f90001"), Value(5.960464477539063e-8));
  EXPECT_EQ(parse("f90400"), Value(0.00006103515625));
  EXPECT_EQ(parse("f98000"), Value(-0.0));
  EXPECT_EQ(parse("f9c400"), Value(-4.0));
  EXPECT_EQ(parse("f97c00"), Value(std::numeric_limits<double>::infinity()));
  EXPECT_EQ(parse("f9fc00"), Value(-std::numeric_limits<double>::infinity()));
  EXPECT_EQ(parse("fa47c35000"), Value(100000.0));
  EXPECT_EQ(parse("fa00000001"), Value(std::ldexp(1.0, -149)));
  EXPECT_EQ(parse("fa7f7fffff"), Value(static_cast<double>(std::numeric_limits<float>::max())));
}

TEST(Cbor, WidensAllHalvesAndManySinglesAsTheMachineDoes) {
  const auto half_value = [](unsigned bits) {
    const int exponent = static_cast<int>(bits >> 10 & 31);
    const int fraction = static_cast<int>(bits & 1023);
    const double size =
        exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(fraction + 1024, exponent - 25);
    return (bits & 0x8000) != 0 ? -size : size;
  };
  for (unsigned bits = 0; bits < 0x10000; ++bits) {
    const std::byte item[] = {std::byte{0xf9}, static_cast<std::byte>(bits >> 8),
                              static_cast<std::byte>(bits)};
    const Value value = from_cbor(item);
    if ((bits & 0x7c00) != 0x7c00) {
      ASSERT_EQ(value, Value(half_value(bits))) << bits;
    } else {
      ASSERT_EQ(std::isnan(value.as_double()), (bits & 0x3ff) != 0) << bits;
    }
  }
  std::mt19937_64 random(test::seed(31));
  for (int i = 0; i < 200'000; ++i) {
    const auto bits = static_cast<std::uint32_t>(i % 4 == 0 ? random() & 0x807fffff : random());
    format::Writer writer;
    writer.u8(0xfa);
    for (int shift = 24; shift >= 0; shift -= 8)
      writer.u8(static_cast<std::uint8_t>(bits >> shift));
    const auto single = std::bit_cast<float>(bits);
    if (std::isnan(single)) continue;
    ASSERT_EQ(from_cbor(writer.buffer()), Value(static_cast<double>(single))) << bits;
  }
}

TEST(Cbor, NanPayloadsAndSignallingNansKeepEveryBit) {
  for (const std::uint64_t bits : {0x7ff8000000000000u, 0x7ff0000000000001u, 0xfff0000000000001u,
                                   0x7ff4dead0000beefu, 0xffffffffffffffffu, 0x7ff0000000000000u}) {
    const Value value = std::bit_cast<double>(bits);
    const Value back = from_cbor(to_cbor(Value::List{value}));
    const auto* number = back.as_list().at(0).get_if<double>();
    std::uint64_t found = 0;
    std::memcpy(&found, number, sizeof found);
    EXPECT_EQ(found, bits);
  }
  EXPECT_EQ(to_hex(to_cbor(parse("fa7f800001"))), "fb7ff0000020000000") << "single, signalling";
  EXPECT_EQ(to_hex(to_cbor(parse("f97c01"))), "fb7ff0040000000000") << "half, signalling";
}

TEST(Cbor, TheEndMustBeTheEnd) {
  expect_corrupt("", "CBOR: byte 0: the input ends at byte 0");
  expect_corrupt("0000", "CBOR: byte 1: 1 bytes follow the item");
  expect_corrupt("8000", "byte 1: 1 bytes follow");
  expect_corrupt("c1", "byte 1: the input ends at byte 1");
  expect_corrupt("19ff", "byte 0: the input ends at byte 2");
}

TEST(Cbor, LengthsBeyondTheInputAreNotBelieved) {
  expect_corrupt("6261", "CBOR: byte 0: text string of 2 bytes, but the input ends at byte 2");
  expect_corrupt("8143ffff", "byte 1: byte string of 3 bytes, but the input ends at byte 4");
  expect_corrupt("8201", "array of 2 items, but the input ends at byte 2");
  expect_corrupt("9b7fffffffffffffff", "array of 9223372036854775807 items");
  expect_corrupt("bbffffffffffffffff", "map of 18446744073709551615 members");
  expect_corrupt("a16161", "byte 3: the input ends");
  expect_corrupt("a161", "map of 1 members, but the input ends at byte 2");
  expect_corrupt("5bffffffffffffffff", "byte string of 18446744073709551615 bytes");
  expect_corrupt("7affffffff", "text string of 4294967295 bytes");
}

TEST(Cbor, IndefiniteLengthsAndReservedFormsAreRefused) {
  for (const std::string_view hex : {"5f4101ff", "7f6161ff", "9f01ff", "bf616101ff", "ff"}) {
    expect_corrupt(hex, "byte 0: indefinite lengths are not allowed");
  }
  expect_corrupt("1c", "reserved length form 28");
  expect_corrupt("5d", "reserved length form 29");
  expect_corrupt("fe", "reserved length form 30");
}

TEST(Cbor, OtherSimpleValuesAreRefused) {
  expect_corrupt("f7", "byte 0: simple value 23 is not null or a boolean");
  expect_corrupt("e0", "simple value 0 is");
  expect_corrupt("f818", "simple value 24 is");
  expect_corrupt("f8ff", "simple value 255 is");
}

TEST(Cbor, IntegersOutsideInt64AreRefused) {
  expect_corrupt("1b8000000000000000", "byte 0: integer outside -2^63 ... 2^63 - 1");
  expect_corrupt("811bffffffffffffffff", "byte 1: integer outside");
  expect_corrupt("3b8000000000000000", "integer outside");
}

TEST(Cbor, MapKeysAreTextAndUnique) {
  expect_corrupt("a10101", "byte 1: map key is not a text string");
  expect_corrupt("a1416101", "byte 1: map key is not a text string");
  expect_corrupt("a1c1616101", "byte 1: map key is not a text string");
  expect_corrupt("a2616101616102", "byte 4: map key \"a\" repeats");
  expect_corrupt("a3616101616202616103", "byte 7: map key \"a\" repeats");
}

TEST(Cbor, TextMustBeUtf8) {
  expect_corrupt("61ff", "byte 0: text string is not valid UTF-8");
  expect_corrupt("63eda080", "text string is not valid UTF-8");
  expect_corrupt("62c080", "text string is not valid UTF-8");
  expect_corrupt("a161ff01", "byte 1: text string is not valid UTF-8");
}

std::vector<std::byte> nested(std::size_t levels, std::string_view open, std::string_view inner) {
  std::string hex;
  for (std::size_t i = 0; i < levels; ++i) hex += open;
  return from_hex(hex + std::string(inner));
}

TEST(Cbor, NestingIsLimited) {
  for (const std::string_view open : {"81", "a16161"}) {
    EXPECT_NO_THROW(from_cbor(nested(cbor_depth, open, "01")));
    EXPECT_NO_THROW(from_cbor(nested(cbor_depth - 1, open, "80")));
    expect_error(ErrorCode::corrupt, "lists and maps nest deeper than 64 levels",
                 [&] { from_cbor(nested(cbor_depth, open, "80")); });
    expect_error(ErrorCode::corrupt, "nest deeper than 64 levels",
                 [&] { from_cbor(nested(200'000, open, "01")); });
  }
  EXPECT_EQ(from_cbor(nested(200'000, "c1", "01")), Value(1)) << "tags are skipped, not nested";
  expect_error(ErrorCode::corrupt, "byte 200000: the input ends",
               [&] { from_cbor(nested(200'000, "c1", "")); });
}

TEST(Cbor, WhatCouldNotBeReadIsNotWritten) {
  Value deep = 1;
  for (std::size_t i = 0; i < cbor_depth; ++i) deep = Value::List{deep};
  EXPECT_EQ(from_cbor(to_cbor(deep)), deep);
  deep = Value::Map{{"a", deep}};
  expect_error(ErrorCode::invalid_argument, "value: lists and maps nest deeper than 64 levels",
               [&] { to_cbor(deep); });
  expect_error(ErrorCode::invalid_argument, "value: a string of 2 bytes is not valid UTF-8",
               [] { to_cbor("a\xff"); });
  expect_error(ErrorCode::invalid_argument, "value: a key of 1 bytes is not valid UTF-8", [] {
    to_cbor(Value::Map{{"\xff", 1}});
  });
}

Value random_value(std::mt19937_64& random, int depth) {
  switch (random() % (depth > 3 ? 6 : 8)) {
    case 0:
      return nullptr;
    case 1:
      return random() % 2 == 0;
    case 2:
      return static_cast<std::int64_t>(random()) >> random() % 64;
    case 3:
      return std::bit_cast<double>(random());
    case 4:
      return std::string(random() % 40, static_cast<char>('a' + random() % 26));
    case 5:
      return Value::Bytes(random() % 300, static_cast<std::byte>(random()));
    case 6: {
      Value::List list;
      for (auto n = random() % 6; n > 0; --n) list.push_back(random_value(random, depth + 1));
      return list;
    }
    default: {
      Value::Map map;
      for (auto n = random() % 6; n > 0; --n) {
        map.insert_or_assign(std::to_string(random() % 100), random_value(random, depth + 1));
      }
      return map;
    }
  }
}

TEST(Cbor, RandomValuesRoundTripAndEncodeOneWay) {
  std::mt19937_64 random(test::seed(32));
  for (int i = 0; i < 3000; ++i) {
    const Value value = random_value(random, 0);
    const auto bytes = to_cbor(value);
    const Value back = from_cbor(bytes);
    ASSERT_EQ(back, value);
    ASSERT_EQ(to_cbor(back), bytes);
  }
}

// Definite lengths: no proper prefix of an item is an item.
TEST(Cbor, TruncationAtEveryLengthIsAnError) {
  std::mt19937_64 random(test::seed(33));
  for (int i = 0; i < 100; ++i) {
    const auto bytes = to_cbor(random_value(random, 0));
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      expect_error(ErrorCode::corrupt, "CBOR: byte ",
                   [&] { from_cbor(std::span(bytes).first(size)); });
    }
  }
}

TEST(Cbor, RandomDamageIsAnErrorOrAValueNeverMore) {
  std::mt19937_64 random(test::seed(34));
  std::size_t errors = 0;
  for (int i = 0; i < 20'000; ++i) {
    auto bytes = to_cbor(random_value(random, 0));
    for (auto n = random() % 4 + 1; n > 0; --n) {
      bytes[random() % bytes.size()] = static_cast<std::byte>(random());
    }
    try {
      const Value value = from_cbor(bytes);
      ASSERT_EQ(from_cbor(to_cbor(value)), value);
    } catch (const Error& error) {
      ASSERT_EQ(error.code(), ErrorCode::corrupt) << error.what();
      ++errors;
    }
  }
  EXPECT_GT(errors, 0u);
}

}  // namespace
}  // namespace ckp
