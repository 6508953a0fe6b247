// Promise P11: every bit pattern comes back, whatever number it would be.
#include <gtest/gtest.h>

#include <cstring>

#include "ckp/format/codec.h"
#include "pack_support.h"
#include "support/effort.h"
#include "support/figure.h"
#include "support/seed.h"

namespace ckp::format {
namespace {

using test::Bytes;

constexpr std::array<std::size_t, 4> scalar_widths{1, 2, 4, 8};

void expect_back(const Bytes& raw, std::size_t scalar_size) {
  const Encoded encoded = encode(raw, scalar_size, Compression::balanced);
  const Bytes& stored = encoded.codec == Codec::raw ? raw : encoded.bytes;
  Bytes out(raw.size(), std::byte{0xa5});
  decode(encoded.codec, stored, out);
  ASSERT_TRUE(out == raw) << "scalar_size " << scalar_size;
  // Whatever was chosen: also by planes, which move bits.
  if (const auto planes = encode_planes(raw, scalar_size)) {
    decode(Codec::planes, *planes, out);
    ASSERT_TRUE(out == raw) << "as planes, scalar_size " << scalar_size;
  }
}

// Uniform bits hardly compress; with the upper bits drawn from few values, among them those of NaN,
// infinity and denormals, every method of `planes` has its turn.
Bytes random_patterns(std::mt19937_64& random, std::size_t count, std::uint32_t way) {
  constexpr std::array<std::uint32_t, 8> uppers{0x7f800000, 0xff800000, 0x7fc00000, 0x00000000,
                                                0x80000000, 0x00400000, 0x3f800000, 0xbf800000};
  Bytes bytes(4 * count);
  for (std::size_t i = 0; i < count; ++i) {
    auto bits = static_cast<std::uint32_t>(random());
    if (way % 2 == 1) bits = (bits & 0x007fffff) | uppers[random() % uppers.size()];
    if (way % 4 >= 2) bits &= 0xffff00ff;
    std::memcpy(bytes.data() + 4 * i, &bits, 4);
  }
  return bytes;
}

TEST(Bits, EveryPatternOf16Bits) {
  Bytes raw(2 * 65536);
  for (std::uint32_t i = 0; i < 65536; ++i) std::memcpy(raw.data() + 2 * i, &i, 2);
  for (const std::size_t scalar_size : scalar_widths) expect_back(raw, scalar_size);
  test::figure("P11 16-bit patterns", "65536 patterns x 4 scalar sizes, 0 changed");
}

TEST(Bits, RandomPatternsOf32Bits) {
  std::mt19937_64 random(test::seed(1111));
  constexpr std::size_t per_chunk = 1u << 18;
  const std::uint64_t chunks = test::effort(40);
  for (std::uint32_t i = 0; i < chunks; ++i) {
    expect_back(random_patterns(random, per_chunk, i), scalar_widths[(i / 4 + 2) % 4]);
    ASSERT_FALSE(HasFailure()) << "chunk " << i;
  }
  test::figure("P11 random patterns", std::to_string(chunks * per_chunk) + " patterns, 0 changed");
}

}  // namespace
}  // namespace ckp::format
