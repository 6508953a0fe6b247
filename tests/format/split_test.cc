// Splitting and merging planes: what the processor's vector instructions give is, byte for byte,
// what the portable code gives, and both follow the definition.
#include "codec/split.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>

#include "pack_support.h"
#include "support/seed.h"

namespace ckp::format {
namespace {

using test::Bytes;

constexpr std::array<std::size_t, 4> scalar_sizes{1, 2, 4, 8};

// All planes one after the other. The bytes behind must stay as they are.
Bytes split(const Bytes& raw, std::size_t scalar_size, bool rotated, Instructions instructions) {
  constexpr std::size_t guard = 64;
  const std::size_t count = raw.size() / scalar_size;
  Bytes out(count * scalar_size + guard, std::byte{0x5a});
  std::array<std::byte*, max_scalar_size> planes{};
  for (std::size_t k = 0; k < scalar_size; ++k) planes[k] = out.data() + k * count;
  split_planes(raw.data(), count, scalar_size, rotated, planes, instructions);
  for (std::size_t i = count * scalar_size; i < out.size(); ++i) {
    EXPECT_EQ(out[i], std::byte{0x5a}) << "written beyond the last plane";
  }
  out.resize(count * scalar_size);
  return out;
}

Bytes merge(const Bytes& split, std::size_t scalar_size, bool rotated, Instructions instructions) {
  const std::size_t count = split.size() / scalar_size;
  std::array<const std::byte*, max_scalar_size> planes{};
  for (std::size_t k = 0; k < scalar_size; ++k) planes[k] = split.data() + k * count;
  Bytes out(split.size(), std::byte{0x5a});
  merge_planes(planes, count, scalar_size, rotated, out.data(), instructions);
  return out;
}

// spec/format.md, "planes", one element after the other.
Bytes split_by_definition(const Bytes& raw, std::size_t scalar_size, bool rotated) {
  const std::size_t count = raw.size() / scalar_size;
  const auto bits = static_cast<unsigned>(8 * scalar_size);
  Bytes out(count * scalar_size);
  for (std::size_t i = 0; i < count; ++i) {
    std::uint64_t x = 0;
    std::memcpy(&x, raw.data() + i * scalar_size, scalar_size);
    if (rotated) x = (x << 1) | (x >> (bits - 1));
    for (std::size_t k = 0; k < scalar_size; ++k) {
      out[k * count + i] = static_cast<std::byte>((x >> (8 * k)) & 0xff);
    }
  }
  return out;
}

void expect_same(const Bytes& raw) {
  for (const std::size_t scalar_size : scalar_sizes) {
    for (const bool rotated : {false, true}) {
      SCOPED_TRACE(testing::Message() << raw.size() << " bytes, scalar_size " << scalar_size
                                      << (rotated ? ", rotated" : ""));
      const Bytes expected = split_by_definition(raw, scalar_size, rotated);
      const Bytes whole(raw.begin(), raw.begin() + static_cast<std::ptrdiff_t>(expected.size()));
      for (const auto instructions : {Instructions::portable, best_instructions()}) {
        ASSERT_TRUE(split(raw, scalar_size, rotated, instructions) == expected);
        ASSERT_TRUE(merge(expected, scalar_size, rotated, instructions) == whole);
      }
    }
  }
}

TEST(Split, EverySixteenBitPattern) {
  Bytes raw(2 * 65536);
  for (std::size_t i = 0; i < 65536; ++i) {
    raw[2 * i] = static_cast<std::byte>(i & 0xff);
    raw[2 * i + 1] = static_cast<std::byte>(i >> 8);
  }
  expect_same(raw);
}

TEST(Split, EverySizeAroundTheBlocks) {
  std::mt19937_64 random(test::seed(23));
  const Bytes source = test::random_bytes(random, 600);
  for (std::size_t size = 0; size <= source.size(); ++size) {
    expect_same({source.begin(), source.begin() + static_cast<std::ptrdiff_t>(size)});
  }
}

TEST(Split, RandomSizes) {
  std::mt19937_64 random(test::seed(29));
  for (int round = 0; round < 100; ++round) {
    expect_same(test::random_bytes(random, random() % 20000));
  }
}

TEST(Split, ProcessorsWithAvx2UseIt) {
#if defined(__x86_64__)
  const bool expected = __builtin_cpu_supports("avx2") != 0;
#else
  const bool expected = false;
#endif
  EXPECT_EQ(best_instructions() == Instructions::avx2, expected);
}

}  // namespace
}  // namespace ckp::format
