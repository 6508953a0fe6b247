#include "ckp/digest.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <utility>
#include <vector>

#include "ckp/format/wire.h"
#include "support/seed.h"

namespace ckp {
namespace {

std::vector<std::byte> random_bytes(std::size_t size, std::mt19937_64& random) {
  std::vector<std::byte> bytes(size);
  std::ranges::generate(bytes, [&] { return static_cast<std::byte>(random()); });
  return bytes;
}

// What `xxh128sum` and `xxhsum -H3` print.
TEST(Digest, AgreesWithPublishedValues) {
  EXPECT_EQ(digest_of({}).hex(), "99aa06d3014798d86001c324468d497f");
  EXPECT_EQ(checksum_of({}), 0x2d06800538d394c2u);
  EXPECT_EQ(digest_of(format::as_bytes("a")).hex(), "a96faf705af16834e6c632b61e964e1f");
  EXPECT_EQ(checksum_of(format::as_bytes("abc")), 0x78af5f94892f3950u);
}

TEST(Digest, HexIsHighThenLowAndBack) {
  const Digest digest{.low = 0x0123456789abcdef, .high = 0xfedcba9876543210};
  EXPECT_EQ(digest.hex(), "fedcba98765432100123456789abcdef");
  EXPECT_EQ(Digest::from_hex(digest.hex()), digest);
  EXPECT_EQ(Digest::from_hex("FEDCBA98765432100123456789ABCDEF"), digest);
}

TEST(Digest, FromHexRefusesAnythingElse) {
  EXPECT_FALSE(Digest::from_hex("").has_value());
  EXPECT_FALSE(Digest::from_hex(std::string(31, '0')).has_value());
  EXPECT_FALSE(Digest::from_hex(std::string(33, '0')).has_value());
  for (std::size_t i = 0; i < 32; ++i) {
    std::string text(32, '0');
    text[i] = 'x';
    EXPECT_FALSE(Digest::from_hex(text).has_value()) << i;
  }
}

TEST(Digest, StreamEqualsOneShotHoweverItIsCut) {
  std::mt19937_64 random(test::seed(11));
  std::vector<std::size_t> sizes;
  for (std::size_t i = 0; i <= 520; ++i) sizes.push_back(i);
  sizes.insert(sizes.end(), {1023, 1024, 1025, 2048, 5000, 65536, 100'003});
  for (const std::size_t size : sizes) {
    const auto bytes = random_bytes(size, random);
    DigestStream stream;
    for (std::span<const std::byte> rest = bytes; !rest.empty();) {
      const std::size_t piece = std::min<std::size_t>(rest.size(), random() % 700);
      stream.update(rest.first(piece));
      rest = rest.subspan(piece);
    }
    ASSERT_EQ(stream.digest(), digest_of(bytes)) << size;
    ASSERT_EQ(stream.checksum(), checksum_of(bytes)) << size;
  }
}

TEST(Digest, StreamGoesOnAfterADigest) {
  DigestStream stream;
  EXPECT_EQ(stream.digest(), digest_of({}));
  stream.update(format::as_bytes("ab"));
  EXPECT_EQ(stream.digest(), digest_of(format::as_bytes("ab")));
  EXPECT_EQ(stream.digest(), digest_of(format::as_bytes("ab")));
  stream.update({});
  stream.update(format::as_bytes("c"));
  EXPECT_EQ(stream.digest(), digest_of(format::as_bytes("abc")));
  EXPECT_EQ(stream.checksum(), checksum_of(format::as_bytes("abc")));
}

TEST(Digest, StreamMoves) {
  DigestStream first;
  first.update(format::as_bytes("ab"));
  DigestStream second = std::move(first);
  second.update(format::as_bytes("c"));
  DigestStream third;
  third = std::move(second);
  EXPECT_EQ(third.digest(), digest_of(format::as_bytes("abc")));
}

TEST(Digest, EveryBitFlipChangesDigestAndChecksum) {
  std::mt19937_64 random(test::seed(12));
  auto bytes = random_bytes(300, random);
  const Digest digest = digest_of(bytes);
  const std::uint64_t checksum = checksum_of(bytes);
  for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    bytes[bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
    EXPECT_NE(digest_of(bytes), digest);
    EXPECT_NE(checksum_of(bytes), checksum);
    bytes[bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
  }
}

// Holds in the build with cut ids, too.
TEST(Digest, ContentIdIsThePrefixOfTheDigest) {
  const Digest digest{.low = ~std::uint64_t{0}, .high = ~std::uint64_t{0}};
  const Digest id = content_id(digest);
  EXPECT_NE(id.high >> 63, 0u);
  EXPECT_EQ(content_id(id), id);
  const auto is_prefix = [](std::uint64_t ones) {
    return (ones | (ones - 1)) == ~std::uint64_t{0};
  };
  EXPECT_TRUE(id.low == 0 || (id.high == digest.high && is_prefix(id.low)));
  EXPECT_TRUE(is_prefix(id.high));
  EXPECT_EQ(content_id(Digest{}), Digest{});
}

}  // namespace
}  // namespace ckp
