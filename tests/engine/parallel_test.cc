#include "save/parallel.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <thread>
#include <vector>

namespace ckp {
namespace {

TEST(Parallel, ThreadCount) {
  EXPECT_GE(thread_count(0), 1u);
  EXPECT_LE(thread_count(0), 8u);
  EXPECT_EQ(thread_count(1), 1u);
  EXPECT_EQ(thread_count(3), 3u);
  EXPECT_EQ(thread_count(100), 8u);
}

TEST(Parallel, LittleWorkGetsNoThreadsOfItsOwn) {
  constexpr std::uint64_t megabyte = std::uint64_t{1} << 20;
  EXPECT_EQ(thread_count(0, 0), 1u);
  EXPECT_EQ(thread_count(0, megabyte / 2), 1u);
  EXPECT_EQ(thread_count(0, 100 * megabyte), thread_count(0));
  EXPECT_EQ(thread_count(3, 0), 3u) << "as requested";
}

TEST(Parallel, ForVisitsEveryItemOnce) {
  for (const unsigned threads : {1u, 2u, 8u}) {
    for (const std::size_t count : {0u, 1u, 2u, 1000u}) {
      std::vector<std::atomic<int>> visits(count);
      parallel_for(count, threads, [&](std::size_t i) { ++visits[i]; });
      for (const auto& n : visits) EXPECT_EQ(n, 1);
    }
  }
}

TEST(Parallel, ForThrowsTheFirstErrorAndSkipsTheRest) {
  for (const unsigned threads : {1u, 4u}) {
    std::atomic<int> visits{0};
    const auto work = [&](std::size_t i) {
      ++visits;
      if (i == 3) throw std::runtime_error("item 3");
    };
    EXPECT_THROW(parallel_for(1'000'000, threads, work), std::runtime_error);
    EXPECT_LT(visits, 1'000'000);
  }
}

TEST(Parallel, OrderedConsumesInOrderOnTheCallingThread) {
  const auto caller = std::this_thread::get_id();
  for (const unsigned threads : {1u, 2u, 8u}) {
    for (const std::size_t window : {1u, 2u, 16u}) {
      std::vector<std::size_t> slots(window);
      std::vector<std::size_t> consumed;
      parallel_ordered(
          500, threads, window, [&](std::size_t i) { slots[i % window] = i * i; },
          [&](std::size_t i) {
            EXPECT_EQ(std::this_thread::get_id(), caller);
            EXPECT_EQ(slots[i % window], i * i);
            consumed.push_back(i);
          });
      ASSERT_EQ(consumed.size(), 500u);
      for (std::size_t i = 0; i < consumed.size(); ++i) EXPECT_EQ(consumed[i], i);
    }
  }
}

TEST(Parallel, OrderedKeepsToItsWindow) {
  constexpr std::size_t window = 3;
  std::atomic<std::size_t> worked{0};
  std::atomic<std::size_t> most{0};
  std::size_t consumed = 0;
  parallel_ordered(
      300, 4, window, [&](std::size_t) { ++worked; },
      [&](std::size_t) {
        most = std::max<std::size_t>(most, worked - consumed);
        ++consumed;
      });
  EXPECT_LE(most, window);
}

TEST(Parallel, OrderedPassesErrorsOn) {
  for (const unsigned threads : {1u, 4u}) {
    std::size_t consumed = 0;
    const auto nothing = [](std::size_t) {};
    const auto fail_at_7 = [](std::size_t i) {
      if (i == 7) throw std::runtime_error("item 7");
    };
    EXPECT_THROW(parallel_ordered(100, threads, 4, fail_at_7, [&](std::size_t) { ++consumed; }),
                 std::runtime_error);
    EXPECT_LE(consumed, 7u);
    EXPECT_THROW(parallel_ordered(100, threads, 4, nothing, fail_at_7), std::runtime_error);
  }
}

TEST(Parallel, OrderedWithoutItems) {
  parallel_ordered(
      0, 4, 4, [](std::size_t) { FAIL(); }, [](std::size_t) { FAIL(); });
}

}  // namespace
}  // namespace ckp
