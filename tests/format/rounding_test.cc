#include "ckp/format/rounding.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "support/seed.h"

namespace ckp::format {
namespace {

using Words = std::vector<std::uint32_t>;
using Halves = std::vector<std::uint16_t>;

Halves rounded(Rounding rounding, const Words& words) {
  Halves halves(words.size());
  round_floats(rounding, std::as_bytes(std::span(words)),
               std::as_writable_bytes(std::span(halves)));
  return halves;
}

bool holds(Rounding rounding, const Words& words, const Halves& halves) {
  return is_rounding(rounding, std::as_bytes(std::span(words)), std::as_bytes(std::span(halves)));
}

// Bits of the exponent, and of the mantissa.
struct Format {
  Rounding rounding;
  int exponent, mantissa;
  std::uint16_t infinity() const {
    return static_cast<std::uint16_t>(((1 << exponent) - 1) << mantissa);
  }
};
constexpr Format formats[] = {{Rounding::bfloat16, 8, 7}, {Rounding::float16, 5, 10}};

// Of a number that is not negative, and no NaN. Infinity is what would come after the largest.
double value_of(const Format& format, std::uint16_t bits) {
  const int exponent = bits >> format.mantissa;
  const int mantissa = bits & ((1 << format.mantissa) - 1);
  const int bias = (1 << (format.exponent - 1)) - 1;
  if (exponent == 0) return std::ldexp(mantissa, 1 - bias - format.mantissa);
  return std::ldexp(mantissa + (1 << format.mantissa), exponent - bias - format.mantissa);
}

std::uint32_t bits_of(double value) { return std::bit_cast<std::uint32_t>(float(value)); }

TEST(Rounding, TakesTheNearestAndTheEvenOneOfTwo) {
  for (const Format& format : formats) {
    Words words;
    Halves expected;
    const auto add = [&](std::uint32_t word, std::uint16_t half) {
      for (const std::uint32_t sign : {0u, 1u}) {
        words.push_back(word | sign << 31);
        expected.push_back(static_cast<std::uint16_t>(half | sign << 15));
      }
    };
    for (std::uint16_t bits = 0; bits < format.infinity(); ++bits) {
      const auto next = static_cast<std::uint16_t>(bits + 1);
      add(bits_of(value_of(format, bits)), bits);
      // Halfway to the next one, which a float32 can say but between bfloat16's largest and 2^128.
      const double middle = (value_of(format, bits) + value_of(format, next)) / 2;
      const std::uint32_t word = bits_of(middle);
      add(word, bits % 2 == 0 ? bits : next);
      add(word - 1, bits);
      add(word + 1, next);
    }
    ASSERT_EQ(rounded(format.rounding, words), expected);
    EXPECT_TRUE(holds(format.rounding, words, expected));
  }
}

TEST(Rounding, SaysWhatNaNsAndInfinitiesBecome) {
  const Words words{0x7f800000, 0xff800000, 0x7f800001, 0xffc12345, 0x7fffffff, 0x80000000,
                    0x7f7fffff, 1,          0x80000001, 0x33000000, 0x33000001};
  EXPECT_EQ(
      rounded(Rounding::bfloat16, words),
      (Halves{0x7f80, 0xff80, 0x7fc0, 0x7fc0, 0x7fc0, 0x8000, 0x7f80, 0, 0x8000, 0x3300, 0x3300}));
  EXPECT_EQ(rounded(Rounding::float16, words),
            (Halves{0x7c00, 0xfc00, 0x7e00, 0xfe00, 0x7e00, 0x8000, 0x7c00, 0, 0x8000, 0, 1}));
}

TEST(Rounding, RandomNumbersOfAnySize) {
  std::mt19937_64 random(test::seed(71));
  for (const Format& format : formats) {
    for (const std::size_t size : {0u, 1u, 63u, 64u, 65u, 1000u, 100'000u}) {
      Words words(size);
      for (auto& word : words) word = static_cast<std::uint32_t>(random());
      const Halves halves = rounded(format.rounding, words);
      for (std::size_t i = 0; i < size; ++i) {
        const double value = std::bit_cast<float>(words[i] & 0x7fffffff);
        if (std::isnan(value)) continue;
        const auto half = static_cast<std::uint16_t>(halves[i] & 0x7fff);
        ASSERT_EQ(halves[i] >> 15, words[i] >> 31);
        const double off =
            std::abs(std::min(value, value_of(format, format.infinity())) - value_of(format, half));
        for (const int step : {-1, 1}) {
          if (half + step < 0 || half + step > format.infinity()) continue;
          const double other = value_of(format, static_cast<std::uint16_t>(half + step));
          ASSERT_LE(off, std::abs(value - other)) << std::hex << words[i] << " " << halves[i];
        }
      }
      EXPECT_TRUE(holds(format.rounding, words, halves));
    }
  }
}

TEST(Rounding, OneBitAnywhereIsNoRounding) {
  std::mt19937_64 random(test::seed(72));
  for (const Format& format : formats) {
    for (const std::size_t size : {1u, 64u, 200u}) {
      Words words(size);
      for (auto& word : words) word = static_cast<std::uint32_t>(random());
      Halves halves = rounded(format.rounding, words);
      for (std::size_t i = 0; i < size; ++i) {
        for (int bit = 0; bit < 16; ++bit) {
          halves[i] = static_cast<std::uint16_t>(halves[i] ^ (1 << bit));
          ASSERT_FALSE(holds(format.rounding, words, halves));
          halves[i] = static_cast<std::uint16_t>(halves[i] ^ (1 << bit));
        }
      }
      halves.push_back(0);
      EXPECT_FALSE(holds(format.rounding, words, halves));
    }
  }
}

}  // namespace
}  // namespace ckp::format
