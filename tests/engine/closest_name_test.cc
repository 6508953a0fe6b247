#include "ckp/closest_name.h"

#include <gtest/gtest.h>

namespace ckp {
namespace {

TEST(ClosestName, EditDistance) {
  EXPECT_EQ(edit_distance("", "", 9), 0u);
  EXPECT_EQ(edit_distance("abc", "abc", 9), 0u);
  EXPECT_EQ(edit_distance("kitten", "sitting", 9), 3u);
  EXPECT_EQ(edit_distance("", "abc", 9), 3u);
  EXPECT_EQ(edit_distance("abc", "", 9), 3u);
  EXPECT_EQ(edit_distance("kitten", "sitting", 2), 2u);
  EXPECT_EQ(edit_distance("a", "abcdefgh", 3), 3u);
}

TEST(ClosestName, TakesTheFirstOfTheClosest) {
  ClosestName closest("model/fc1.wieght");
  for (const auto* name : {"model/fc1.bias", "model/fc1.weight", "model/fc2.weight"}) {
    closest.offer(name);
  }
  EXPECT_EQ(closest.best(), "model/fc1.weight");
  EXPECT_EQ(ClosestName("x").best(), "");
}

}  // namespace
}  // namespace ckp
