#include "ckp/format/difference.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "ckp/format/codec.h"
#include "support/seed.h"

namespace ckp::format {
namespace {

using DifferingBytes = std::vector<std::byte>;
using Kind = DifferenceKind;

constexpr Kind all_kinds[] = {Kind::exclusive_or, Kind::elements16, Kind::elements32,
                              Kind::elements64};

template <class T>
DifferingBytes bytes_of_elements(const std::vector<T>& values) {
  DifferingBytes bytes(values.size() * sizeof(T));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

DifferingBytes difference_of(Kind kind, const DifferingBytes& before, const DifferingBytes& after) {
  DifferingBytes out(after.size());
  take_difference(kind, before, after, out);
  return out;
}

void expect_inverse(Kind kind, const DifferingBytes& before, const DifferingBytes& after) {
  const DifferingBytes difference = difference_of(kind, before, after);
  DifferingBytes again = before;
  apply_difference(kind, difference, again);
  ASSERT_TRUE(again == after) << static_cast<int>(kind) << ", " << before.size() << " bytes";
}

DifferingBytes random_version(std::mt19937_64& random, std::size_t size) {
  DifferingBytes bytes(size);
  for (auto& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

TEST(Difference, StandsAsTheSpecificationSays) {
  const auto words = [](std::initializer_list<std::uint32_t> values) {
    return bytes_of_elements(std::vector<std::uint32_t>(values));
  };
  // The next float, the one before, the other sign, from 0 to the smallest denormal, the same.
  EXPECT_EQ(
      difference_of(Kind::elements32, words({0x3f800000, 0x3f800000, 0x3f800000, 0, 0x7fc00001}),
                    words({0x3f800001, 0x3f7fffff, 0xbf800000, 1, 0x7fc00001})),
      words({4, 3, 2, 4, 0}));
  EXPECT_EQ(difference_of(Kind::exclusive_or, words({0x3f800000}), words({0xbf800001})),
            words({0x80000001}));
  const auto tail = [](std::initializer_list<int> values) {
    DifferingBytes bytes;
    for (const int value : values) bytes.push_back(static_cast<std::byte>(value));
    return bytes;
  };
  EXPECT_EQ(difference_of(Kind::elements16, tail({0, 0, 7}), tail({1, 0, 5})), tail({4, 0, 2}));
}

TEST(Difference, EveryBitPatternOf16BitsComesBack) {
  std::vector<std::uint16_t> all(1u << 16);
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::uint16_t>(i);
  const DifferingBytes after = bytes_of_elements(all);
  std::mt19937_64 random(test::seed(31));
  for (const unsigned first :
       {0u, 1u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu, static_cast<unsigned>(random() % 65536)}) {
    const std::vector<std::uint16_t> same(all.size(), static_cast<std::uint16_t>(first));
    expect_inverse(Kind::elements16, bytes_of_elements(same), after);
    expect_inverse(Kind::elements16, after, bytes_of_elements(same));
  }
}

TEST(Difference, AnyTwoVersionsOfAnySizeComeBack) {
  std::mt19937_64 random(test::seed(32));
  for (std::size_t size = 0; size < 1200; size += size < 40 ? 1 : 1 + random() % 60) {
    const DifferingBytes before = random_version(random, size);
    const DifferingBytes after = random_version(random, size);
    for (const Kind kind : all_kinds) {
      expect_inverse(kind, before, after);
      expect_inverse(kind, before, before);
    }
  }
}

TEST(Difference, OfTheSameIsZero) {
  std::mt19937_64 random(test::seed(33));
  const DifferingBytes bytes = random_version(random, 1003);
  for (const Kind kind : all_kinds) {
    EXPECT_EQ(difference_of(kind, bytes, bytes), DifferingBytes(1003));
  }
}

// Trained on for a little: the distance is what is stored in the fewest bytes, and the sample says
// how much that is.
TEST(Difference, TheSampleSaysWhatEncodingMakes) {
  std::mt19937 random(static_cast<unsigned>(test::seed(34)));
  std::normal_distribution<float> normal(0.0f, 0.02f);
  std::vector<float> weights(100'000), trained, others;
  for (float& weight : weights) {
    weight = normal(random);
    trained.push_back(weight + 1e-3f * normal(random));
    others.push_back(normal(random));
  }
  const DifferingBytes before = bytes_of_elements(weights), after = bytes_of_elements(trained);
  const auto gain = best_difference(before, after, 4);
  ASSERT_TRUE(gain);
  EXPECT_EQ(gain->kind, Kind::elements32);
  const auto size = [](const DifferingBytes& raw) {
    return static_cast<double>(encode(raw, 4, Compression::balanced).bytes.size());
  };
  const double part = size(difference_of(gain->kind, before, after)) / size(after);
  EXPECT_LT(part, 0.8);
  EXPECT_NEAR(gain->part, part, 0.05);
  EXPECT_GT(best_difference(before, bytes_of_elements(others), 4).value().part, 0.97);
}

TEST(Difference, NothingIsGainedOnWhatIsNothing) {
  std::mt19937_64 random(test::seed(35));
  const DifferingBytes noise = random_version(random, 4096);
  EXPECT_FALSE(best_difference(noise, DifferingBytes(4096), 4));
  EXPECT_FALSE(best_difference(DifferingBytes(3), DifferingBytes(3), 4));
  EXPECT_EQ(best_difference(noise, noise, 4).value().part, 0);
  EXPECT_GE(best_difference(random_version(random, 4096), noise, 1).value().part, 0.97);
}

}  // namespace
}  // namespace ckp::format
