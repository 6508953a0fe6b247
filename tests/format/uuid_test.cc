#include "ckp/uuid.h"

#include <gtest/gtest.h>

namespace ckp {
namespace {

TEST(Uuid, HexIsTheBytesInOrder) {
  Uuid uuid;
  for (std::size_t i = 0; i < uuid.bytes.size(); ++i) {
    uuid.bytes[i] = static_cast<std::byte>(0x10 * i + (15 - i));
  }
  EXPECT_EQ(uuid.hex(), "0f1e2d3c4b5a69788796a5b4c3d2e1f0");
  EXPECT_EQ(uuid.short_hex(), "0f1e2d3c");
  EXPECT_EQ(Uuid::from_hex(uuid.hex()), uuid);
}

TEST(Uuid, FromHexTakesEitherCase) {
  const auto lower = Uuid::from_hex("abcdef00000000000000000000000001");
  ASSERT_TRUE(lower.has_value());
  EXPECT_EQ(Uuid::from_hex("ABCDEF00000000000000000000000001"), lower);
}

TEST(Uuid, FromHexRefusesAnythingElse) {
  const std::string good(32, 'a');
  ASSERT_TRUE(Uuid::from_hex(good).has_value());
  EXPECT_FALSE(Uuid::from_hex("").has_value());
  EXPECT_FALSE(Uuid::from_hex(good + "a").has_value());
  EXPECT_FALSE(Uuid::from_hex(good.substr(1)).has_value());
  for (std::size_t i = 0; i < good.size(); ++i) {
    for (const char bad : {'g', 'G', '-', ' ', '/', ':', '@', '`', '\0', '\xe1'}) {
      std::string text = good;
      text[i] = bad;
      EXPECT_FALSE(Uuid::from_hex(text).has_value()) << i;
    }
  }
}

TEST(Uuid, NilIsAllZero) {
  EXPECT_TRUE(Uuid{}.is_nil());
  EXPECT_TRUE(Uuid::from_hex(std::string(32, '0'))->is_nil());
  EXPECT_FALSE(Uuid::from_hex(std::string(31, '0') + "1")->is_nil());
}

TEST(Uuid, OrdersByBytes) {
  EXPECT_LT(Uuid::from_hex(std::string(32, '0')), Uuid::from_hex("80" + std::string(30, '0')));
  EXPECT_LT(Uuid::from_hex("7f" + std::string(30, 'f')),
            Uuid::from_hex("80" + std::string(30, '0')));
}

}  // namespace
}  // namespace ckp
