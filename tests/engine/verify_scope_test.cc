// What a verify looks at: shares of the chunks, a time limit, levels.
#include <chrono>

#include "check/chunk_share.h"
#include "repair_fixture.h"

namespace ckp {
namespace {

using test::RepairTest;

using VerifyScopeTest = RepairTest;

TEST_F(VerifyScopeTest, SeedsInARowCoverEverythingOnce) {
  for (const std::uint32_t parts : {2u, 3u, 10u}) {
    std::vector<int> seen(5000);
    for (std::uint64_t seed = 17; seed < 17 + parts; ++seed) {
      const ChunkShare share(1.0 / parts, seed);
      std::size_t held = 0;
      for (std::uint32_t i = 0; i < seen.size(); ++i) {
        if (!share.holds({saved_[1].id, i})) continue;
        ++seen[i];
        ++held;
      }
      EXPECT_GT(held, seen.size() / parts / 2);
      EXPECT_LT(held, seen.size() / parts * 2);
    }
    EXPECT_EQ(seen, std::vector<int>(seen.size(), 1));
  }
}

TEST_F(VerifyScopeTest, ADamagedChunkIsFoundByTheSeedThatHoldsIt) {
  flip_payload(packs_[4]);
  const Store store = Store::open(path());
  std::size_t found = 0, chunks = 0;
  for (std::uint64_t seed = 0; seed < 4; ++seed) {
    const VerifyReport report = store.verify({.subset = 0.25, .seed = seed});
    EXPECT_TRUE(report.complete);
    found += report.findings.size();
    chunks += report.chunks;
  }
  EXPECT_EQ(found, 1u);
  EXPECT_EQ(chunks, store.verify().chunks);
}

TEST_F(VerifyScopeTest, StructureIsCheckedInFullWhateverTheShare) {
  flip(packs_[4], 50);
  const Store store = Store::open(path());
  EXPECT_FALSE(store.verify({.subset = 0.0001, .seed = 5}).findings.empty());
}

TEST_F(VerifyScopeTest, StructureComparesChunkHeadersWithTheTable) {
  flip(packs_[4], large_chunk(packs_[4]) + 30);
  const Store store = Store::open(path());
  const VerifyReport report = store.verify({.level = VerifyLevel::structure});
  ASSERT_EQ(report.findings.size(), 1u);
  EXPECT_EQ(report.findings[0].tensor, "model/large");
}

TEST_F(VerifyScopeTest, StopsWhenItsTimeIsOver) {
  const Store store = Store::open(path());
  VerifyOptions options;
  options.max_duration = std::chrono::milliseconds(2);
  options.cancelled = [] {  // time passes
    const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(3);
    while (std::chrono::steady_clock::now() < until) {
    }
    return false;
  };
  const VerifyReport report = store.verify(options);
  EXPECT_FALSE(report.complete);
  EXPECT_TRUE(report.timed_out);
  EXPECT_FALSE(report.clean());
  EXPECT_LT(report.bytes, report.bytes_total);
}

TEST_F(VerifyScopeTest, TheCallersFunctionsAreCalledFromOneThreadAtATime) {
  const Store store = Store::open(path());
  std::atomic<int> inside{0};
  std::atomic<std::size_t> calls{0};
  const auto enter = [&] {
    EXPECT_EQ(++inside, 1);
    ++calls;
    --inside;
  };
  VerifyOptions options;
  options.threads = 8;
  options.progress = [&](const VerifyProgress&) { enter(); };
  options.cancelled = [&] {
    enter();
    return false;
  };
  EXPECT_TRUE(store.verify(options).clean());
  EXPECT_GT(calls, 0u);
}

}  // namespace
}  // namespace ckp
