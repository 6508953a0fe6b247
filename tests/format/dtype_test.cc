#include "ckp/dtype.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <set>
#include <vector>

#include "support/expect_error.h"
#include "support/seed.h"

namespace ckp {
namespace {

struct Expected {
  DType dtype;
  std::uint16_t number;
  std::string_view name;
  std::size_t size;
  std::size_t scalar_size;
  bool floating;
};

constexpr std::array<Expected, 21> all{{
    {DType::boolean, 1, "bool", 1, 1, false},
    {DType::uint8, 2, "uint8", 1, 1, false},
    {DType::int8, 3, "int8", 1, 1, false},
    {DType::int16, 4, "int16", 2, 2, false},
    {DType::int32, 5, "int32", 4, 4, false},
    {DType::int64, 6, "int64", 8, 8, false},
    {DType::uint16, 7, "uint16", 2, 2, false},
    {DType::uint32, 8, "uint32", 4, 4, false},
    {DType::uint64, 9, "uint64", 8, 8, false},
    {DType::float16, 10, "float16", 2, 2, true},
    {DType::bfloat16, 11, "bfloat16", 2, 2, true},
    {DType::float32, 12, "float32", 4, 4, true},
    {DType::float64, 13, "float64", 8, 8, true},
    {DType::complex32, 14, "complex32", 4, 2, true},
    {DType::complex64, 15, "complex64", 8, 4, true},
    {DType::complex128, 16, "complex128", 16, 8, true},
    {DType::float8_e4m3fn, 17, "float8_e4m3fn", 1, 1, true},
    {DType::float8_e5m2, 18, "float8_e5m2", 1, 1, true},
    {DType::float8_e4m3fnuz, 19, "float8_e4m3fnuz", 1, 1, true},
    {DType::float8_e5m2fnuz, 20, "float8_e5m2fnuz", 1, 1, true},
    {DType::float8_e8m0fnu, 21, "float8_e8m0fnu", 1, 1, true},
}};

TEST(DType, NumbersNamesAndSizes) {
  for (const Expected& expected : all) {
    EXPECT_EQ(static_cast<std::uint16_t>(expected.dtype), expected.number);
    EXPECT_EQ(to_string(expected.dtype), expected.name);
    EXPECT_EQ(size_of(expected.dtype), expected.size) << expected.name;
    EXPECT_EQ(scalar_size_of(expected.dtype), expected.scalar_size) << expected.name;
    EXPECT_EQ(is_floating(expected.dtype), expected.floating) << expected.name;
    EXPECT_EQ(dtype_from_string(expected.name), expected.dtype);
    EXPECT_EQ(dtype_from_number(expected.number), expected.dtype);
  }
}

TEST(DType, UnknownNumbersAndNamesAreNothing) {
  for (unsigned number = 0; number <= 0xffff; ++number) {
    const bool known = number >= 1 && number <= all.size();
    ASSERT_EQ(dtype_from_number(static_cast<std::uint16_t>(number)).has_value(), known) << number;
  }
  for (const auto name : {"", "float", "Float32", "float32 ", "torch.float32", "boolean"}) {
    EXPECT_FALSE(dtype_from_string(name).has_value()) << name;
  }
}

TEST(DType, AskingAboutANumberThatIsNoneIsAnError) {
  for (const std::uint16_t number : {std::uint16_t{0}, std::uint16_t{22}, std::uint16_t{65535}}) {
    test::expect_error(ErrorCode::invalid_argument, "is no element type",
                       [&] { size_of(static_cast<DType>(number)); });
  }
}

// The slow reference: what the definitions of the formats say, by value.
bool is_nonfinite_16(DType dtype, std::uint16_t bits) {
  const int exponent_bits = dtype == DType::float16 ? 5 : 8;
  const int exponent = (bits & 0x7fff) >> (15 - exponent_bits);
  return exponent == (1 << exponent_bits) - 1;
}

bool is_nonfinite_8(DType dtype, std::uint8_t bits) {
  switch (dtype) {
    case DType::float8_e4m3fn:
      return bits == 0x7f || bits == 0xff;
    case DType::float8_e5m2:
      return (bits >> 2 & 0x1f) == 0x1f;
    case DType::float8_e8m0fnu:
      return bits == 0xff;
    default:
      return bits == 0x80;
  }
}

template <class Bits>
bool has_nonfinite(DType dtype, const std::vector<Bits>& values) {
  return ckp::has_nonfinite(dtype, reinterpret_cast<const std::byte*>(values.data()),
                            values.size() * sizeof(Bits));
}

TEST(HasNonfinite, AllSixteenBitPatterns) {
  for (const DType dtype : {DType::float16, DType::bfloat16}) {
    for (unsigned bits = 0; bits <= 0xffff; ++bits) {
      const auto pattern = static_cast<std::uint16_t>(bits);
      const std::vector<std::uint16_t> one{pattern};
      ASSERT_EQ(has_nonfinite(dtype, one), is_nonfinite_16(dtype, pattern)) << bits;
    }
  }
}

TEST(HasNonfinite, AllEightBitPatterns) {
  for (const DType dtype : {DType::float8_e4m3fn, DType::float8_e5m2, DType::float8_e4m3fnuz,
                            DType::float8_e5m2fnuz, DType::float8_e8m0fnu}) {
    for (unsigned bits = 0; bits <= 0xff; ++bits) {
      const auto pattern = static_cast<std::uint8_t>(bits);
      const std::vector<std::uint8_t> one{pattern};
      ASSERT_EQ(has_nonfinite(dtype, one), is_nonfinite_8(dtype, pattern)) << bits;
    }
  }
}

template <class Float, class Bits>
void check_wide(DType dtype, Bits sign, Bits infinity) {
  const std::vector<Bits> special{0,
                                  sign,
                                  1,
                                  static_cast<Bits>(infinity - 1),
                                  infinity,
                                  static_cast<Bits>(infinity + 1),
                                  static_cast<Bits>(sign | infinity),
                                  static_cast<Bits>(~Bits{0}),
                                  static_cast<Bits>(sign - 1)};
  std::mt19937_64 random(test::seed(21));
  for (int i = 0; i < 100'000; ++i) {
    Bits bits = i < static_cast<int>(special.size()) ? special[static_cast<std::size_t>(i)]
                                                     : static_cast<Bits>(random());
    if (i % 3 == 0 && i >= 9) bits = static_cast<Bits>(bits | infinity);
    const bool expected = !std::isfinite(std::bit_cast<Float>(bits));
    ASSERT_EQ(has_nonfinite(dtype, std::vector<Bits>{bits}), expected) << bits;
  }
}

TEST(HasNonfinite, WideFloatsAgreeWithIsfinite) {
  check_wide<float, std::uint32_t>(DType::float32, 1u << 31, 0x7f80'0000u);
  check_wide<double, std::uint64_t>(DType::float64, 1ull << 63, 0x7ff0'0000'0000'0000ull);
}

// One bad scalar among many good ones is seen wherever it stands, at every alignment.
TEST(HasNonfinite, FindsOneBadScalarAnywhere) {
  std::mt19937_64 random(test::seed(22));
  for (const Expected& expected : all) {
    const std::size_t scalar = expected.scalar_size;
    std::vector<std::byte> buffer(3 * 4096 + 5 * 16 + 7);
    for (int round = 0; round < 400; ++round) {
      const std::size_t shift = random() % 8;
      const std::size_t elements = random() % ((buffer.size() - shift) / expected.size) + 1;
      const std::size_t size = elements * expected.size;
      std::ranges::fill(buffer, std::byte{0x11});
      std::byte* const bytes = buffer.data() + shift;
      ASSERT_FALSE(ckp::has_nonfinite(expected.dtype, bytes, size)) << expected.name;
      std::byte* const at = bytes + random() % (size / scalar) * scalar;
      // All ones is a NaN, except for the kinds whose only NaN is 0x80.
      const bool fnuz = expected.name.ends_with("fnuz");
      std::fill(at, at + scalar, fnuz ? std::byte{0x80} : std::byte{0xff});
      ASSERT_EQ(ckp::has_nonfinite(expected.dtype, bytes, size), expected.floating)
          << expected.name << " at " << at - bytes << " of " << size;
    }
  }
}

TEST(HasNonfinite, EmptyAndTailsAreFinite) {
  const std::vector<std::byte> ones(15, std::byte{0xff});
  for (const Expected& expected : all) {
    EXPECT_FALSE(ckp::has_nonfinite(expected.dtype, nullptr, 0)) << expected.name;
    EXPECT_FALSE(ckp::has_nonfinite(expected.dtype, ones.data(), expected.size - 1))
        << expected.name;
  }
}

}  // namespace
}  // namespace ckp
