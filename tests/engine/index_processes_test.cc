// Several processes and threads with one index: nothing is ever torn or lost.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "engine/index_samples.h"
#include "support/child_process.h"
#include "support/seed.h"

namespace ckp {
namespace {

using test::IndexFiles;

// Each update rewrites one run with a number, and one checkpoint and chunk per number: whoever
// reads in one transaction must see the same number everywhere.
RunRecord numbered_run(std::uint64_t who, std::int64_t number) {
  RunRecord run = test::sample_run(who, "writer " + std::to_string(who));
  run.parameters["number"] = number;
  return run;
}

void write_number(Index& index, std::uint64_t who, std::int64_t number) {
  const RunRecord run = numbered_run(who, number);
  const auto n = static_cast<std::uint64_t>(number);
  index.update([&](IndexUpdate& update) {
    update.put_run(run);
    update.put_checkpoint(test::sample_checkpoint(run, 1'000'000 * who + n, n));
    update.put_chunks(
        std::vector{test::sample_chunk(n, 1'000'000 * who, static_cast<std::uint32_t>(n))});
  });
}

// What is wrong with the writer's rows, as somebody sees them who does not stop the writer.
int count_wrong(const Index& index, std::uint64_t who, std::int64_t& last) {
  const auto run = index.run(test::numbered_uuid(who));
  if (!run) return last > 0 ? 1 : 0;
  int wrong = 0;
  const std::int64_t before = run->parameters.at("number").as_int();
  wrong += before < last;  // went back
  wrong += *run != numbered_run(who, before);
  const auto checkpoints = index.checkpoints(run->id);  // read later: not fewer than before
  wrong += checkpoints.size() < static_cast<std::size_t>(before);
  for (std::size_t i = 0; i < checkpoints.size(); ++i) {
    wrong += checkpoints[i].commit != i + 1;  // a hole, or out of order
  }
  last = before;
  return wrong;
}

TEST(IndexProcesses, OneProcessMayOpenAnIndexTwice) {
  IndexFiles place;
  const auto a = place.open();
  const auto b = place.open();
  std::atomic<bool> done = false;
  std::atomic<int> wrong = 0;
  std::vector<std::thread> readers;
  for (const Index* index : {a.get(), b.get()}) {
    readers.emplace_back([&, index] {
      std::int64_t last_one = 0, last_two = 0;
      while (!done) {
        wrong += count_wrong(*index, 1, last_one) + count_wrong(*index, 2, last_two);
      }
    });
  }
  std::thread other([&] {
    for (std::int64_t n = 1; n <= 60; ++n) write_number(*b, 2, n);
  });
  for (std::int64_t n = 1; n <= 60; ++n) {
    write_number(*a, 1, n);
    if (n % 10 == 0) wrong += place.open()->run(test::numbered_uuid(1)) != numbered_run(1, n);
  }
  other.join();
  done = true;
  for (auto& reader : readers) reader.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(a->dump(), b->dump());
  EXPECT_TRUE(a->check().empty());
}

// Writes until somebody kills it.
int write_for_ever(const IndexFiles& place, std::uint64_t who, const test::Gate& going) {
  const auto index = place.open();
  const auto run = index->run(test::numbered_uuid(who));
  std::int64_t number = run ? run->parameters.at("number").as_int() : 0;
  for (;;) {
    write_number(*index, who, ++number);
    going.open();
  }
}

int read_until(const IndexFiles& place, std::uint64_t writers, const test::Gate& stop) {
  const auto index = place.open();
  std::map<std::uint64_t, std::int64_t> last;
  int wrong = 0;
  std::atomic<bool> stopped = false;
  std::thread waiting([&] {
    stop.pass();
    stopped = true;
  });
  while (!stopped) {
    for (std::uint64_t who = 1; who <= writers; ++who) {
      wrong += count_wrong(*index, who, last[who]);
    }
    wrong += static_cast<int>(index->check().size());
  }
  waiting.join();
  return std::min(wrong, 90);
}

TEST(IndexProcesses, WritersAreKilledWhileOthersWriteAndRead) {
  std::mt19937_64 random(test::seed(20266));
  IndexFiles place;
  place.open();
  test::Gate stop, going_steady, going_killed;
  test::ChildProcess first_reader([&] { return read_until(place, 2, stop); });
  test::ChildProcess second_reader([&] { return read_until(place, 2, stop); });
  test::ChildProcess steady([&] { return write_for_ever(place, 1, going_steady); });
  for (int round = 0; round < 25; ++round) {
    test::ChildProcess killed([&] { return write_for_ever(place, 2, going_killed); });
    for (auto updates = random() % 6; updates > 0; --updates) going_killed.pass();
    going_steady.pass();  // the other one is not held up by the dead
    killed.kill();
    EXPECT_EQ(killed.wait(), -SIGKILL);
    const auto problems = place.open()->check();
    ASSERT_TRUE(problems.empty()) << "round " << round << ": " << problems.front();
  }
  stop.open();
  stop.open();
  EXPECT_EQ(first_reader.wait(), 0);
  EXPECT_EQ(second_reader.wait(), 0);
  steady.kill();
  steady.wait();
  const auto index = place.open();
  std::int64_t last = 0;
  EXPECT_EQ(count_wrong(*index, 1, last), 0);
  EXPECT_GT(last, 0);
  EXPECT_TRUE(index->check().empty());
}

TEST(IndexProcesses, ManyMayBeTheFirstToOpenIt) {
  IndexFiles place;
  std::vector<std::unique_ptr<test::ChildProcess>> children;
  for (std::uint64_t who = 1; who <= 6; ++who) {
    children.push_back(std::make_unique<test::ChildProcess>([&place, who] {
      write_number(*place.open(), who, 1);
      return 0;
    }));
  }
  for (auto& child : children) EXPECT_EQ(child->wait(), 0);
  EXPECT_EQ(place.open()->runs().size(), 6u);
  EXPECT_TRUE(place.open()->check().empty());
}

}  // namespace
}  // namespace ckp
