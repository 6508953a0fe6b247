#include "ckp/format/per_thread.h"

#include <gtest/gtest.h>

#include <atomic>
#include <barrier>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

namespace ckp::format {
namespace {

struct Counted {
  static inline std::atomic<int> made{0}, alive{0};
  Counted() { ++made, ++alive; }
  ~Counted() { --alive; }
};

TEST(PerThreadTest, AThreadTakesOverWhatAnEndedOneHad) {
  static PerThread<int> numbers;
  std::thread([&] { numbers.get() = 0; }).join();
  for (int i = 0; i < 100; ++i) {
    std::thread([&] {
      EXPECT_EQ(numbers.get()++, i);
      EXPECT_EQ(numbers.get(), i + 1);
    }).join();
  }
}

TEST(PerThreadTest, ThreadsAtOneTimeShareNothingAndOnlyAFewAreKept) {
  static PerThread<Counted> objects;
  constexpr int count = 16;
  for (int round = 0; round < 3; ++round) {
    const int made_before = Counted::made;
    const int kept_before = Counted::alive;
    std::barrier all_have_theirs(count);
    std::mutex mutex;
    std::set<Counted*> seen;
    std::vector<std::jthread> threads;
    for (int i = 0; i < count; ++i) {
      threads.emplace_back([&] {
        Counted* const mine = &objects.get();
        all_have_theirs.arrive_and_wait();
        const std::lock_guard lock(mutex);
        seen.insert(mine);
      });
    }
    threads.clear();
    EXPECT_EQ(seen.size(), static_cast<std::size_t>(count));
    EXPECT_EQ(Counted::made, made_before + count - kept_before);
    EXPECT_EQ(Counted::alive, 4);
  }
}

}  // namespace
}  // namespace ckp::format
