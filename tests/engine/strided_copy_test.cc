#include "load/strided_copy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>

#include "engine/sample_states.h"
#include "save/strided_view.h"
#include "support/seed.h"

namespace ckp {
namespace {

using Strides = std::vector<std::int64_t>;

// Copies `stored` in pieces of random sizes, in random order.
void copy_in_pieces(const StridedCopy& copy, std::span<const std::byte> stored, std::byte* to,
                    std::mt19937_64& random) {
  std::vector<std::pair<std::uint64_t, std::uint64_t>> pieces;
  for (std::uint64_t at = 0; at < copy.size();) {
    const std::uint64_t size = std::min<std::uint64_t>(1 + random() % 23, copy.size() - at);
    pieces.emplace_back(at, size);
    at += size;
  }
  std::shuffle(pieces.begin(), pieces.end(), random);
  for (const auto& [at, size] : pieces) copy.copy(at, stored.subspan(at, size), to);
}

TEST(StridedCopy, RandomViewsIntoRandomTargets) {
  std::mt19937_64 random(test::seed(20251));
  const DType dtypes[] = {DType::uint8, DType::float16, DType::float32, DType::float64,
                          DType::complex128};
  for (int round = 0; round < 3000; ++round) {
    const DType dtype = dtypes[random() % 5];
    const std::size_t element = size_of(dtype);
    const std::size_t rank = random() % 5;
    Strides shape(rank), from(rank);
    for (std::size_t d = 0; d < rank; ++d) {
      shape[d] = static_cast<std::int64_t>(random() % 5 + (random() % 16 != 0));
      from[d] = static_cast<std::int64_t>(random() % 7);  // gaps, overlaps and repeats
    }
    // A target without overlaps: dimensions in random order, with random gaps.
    Strides to(rank);
    std::vector<std::size_t> order(rank);
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::shuffle(order.begin(), order.end(), random);
    std::int64_t step = 1;
    for (const std::size_t d : order) {
      step += random() % 3 == 0 ? 1 : 0;
      to[d] = step;
      step *= std::max<std::int64_t>(shape[d], 1);
    }
    const auto span_bytes = static_cast<std::size_t>(span_elements(shape, from)) * element;
    const auto stored = test::random_bytes(span_bytes, random());
    auto target =
        test::random_bytes(static_cast<std::size_t>(span_elements(shape, to)) * element, random());
    const auto before = target;
    const StridedCopy copy(element, shape, from, to);
    ASSERT_EQ(copy.size(), span_bytes);
    copy_in_pieces(copy, stored, target.data(), random);

    const auto expected = test::elements_of(test::view_of(stored, dtype, shape, from));
    ASSERT_TRUE(test::elements_of(test::view_of(target, dtype, shape, to)) == expected) << round;
    // What lies between the target's elements is somebody else's.
    std::vector<std::byte> touched(target.size());
    const StridedCopy mark(element, shape, to, to);
    mark.copy(0, std::vector<std::byte>(mark.size(), std::byte{1}), touched.data());
    for (std::size_t i = 0; i < target.size(); ++i) {
      ASSERT_TRUE(touched[i] != std::byte{} || target[i] == before[i]) << round << " byte " << i;
    }
  }
}

TEST(StridedCopy, KnowsWhatIsLinear) {
  const auto linear = [](Strides shape, Strides from, Strides to) {
    return StridedCopy(4, shape, from, to).is_linear();
  };
  EXPECT_TRUE(linear({}, {}, {}));
  EXPECT_TRUE(linear({2, 3}, {3, 1}, {3, 1}));
  EXPECT_TRUE(linear({2, 3}, {1, 2}, {1, 2}));   // both column-major
  EXPECT_TRUE(linear({1, 3}, {77, 1}, {5, 1}));  // strides of one element say nothing
  EXPECT_TRUE(linear({8, 3}, {0, 1}, {0, 1}));   // expanded in both
  EXPECT_TRUE(linear({0, 3}, {3, 1}, {9, 9}));
  EXPECT_FALSE(linear({2, 3}, {3, 1}, {1, 2}));  // transposed
  EXPECT_FALSE(linear({2, 3}, {4, 1}, {4, 1}));  // gaps belong to somebody else
  EXPECT_FALSE(linear({8, 3}, {0, 1}, {3, 1}));
  EXPECT_FALSE(linear({3}, {2}, {2}));
}

TEST(StridedView, Dense) {
  const auto dense = [](Strides shape, Strides strides) { return is_dense(shape, strides); };
  EXPECT_TRUE(dense({}, {}));
  EXPECT_TRUE(dense({2, 3, 4}, {12, 4, 1}));
  EXPECT_TRUE(dense({2, 3, 4, 5}, {60, 1, 15, 3}));  // channels last
  EXPECT_TRUE(dense({7, 5}, {0, 1}));
  EXPECT_FALSE(dense({2, 2}, {3, 0}));  // four elements over a span of four, two of them touched
  EXPECT_FALSE(dense({3}, {2}));
  EXPECT_EQ(span_elements(Strides{2, 2}, Strides{3, 0}), 4);
  EXPECT_EQ(span_elements(Strides{0, 2}, Strides{3, 1}), 0);
}

}  // namespace
}  // namespace ckp
