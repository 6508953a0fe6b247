// Retired packs that are kept for some of their chunks are rewritten to those.
#include <algorithm>
#include <array>
#include <random>

#include "load/open_pack.h"
#include "retention/chunk_numbers.h"
#include "rewrite_fixture.h"
#include "support/faulty_file_system.h"
#include "support/figure.h"
#include "support/hooked_file_system.h"
#include "support/memory_directory.h"
#include "support/seed.h"

namespace ckp {
namespace {

using test::expect_error;
using test::FaultyFileSystem;
using test::HookedFileSystem;
using test::Parts;
using test::RewriteTest;

namespace stdfs = std::filesystem;

TEST(ChunkNumbers, AreASet) {
  std::mt19937 random(7);
  for (int i = 0; i < 500; ++i) {
    std::array<std::vector<std::uint32_t>, 2> given;
    std::array<std::set<std::uint32_t>, 2> expected;
    for (std::size_t n = 0; n < 2; ++n) {
      for (auto count = random() % 20; count > 0; --count) {
        const auto number = static_cast<std::uint32_t>(random() % 3 == 0 ? UINT32_MAX - random() % 4
                                                                         : random() % 30);
        given[n].push_back(number);
        expected[n].insert(number);
      }
    }
    ChunkNumbers a(given[0]);
    const ChunkNumbers b(given[1]);
    EXPECT_EQ(a.contains_all(b), std::includes(expected[0].begin(), expected[0].end(),
                                               expected[1].begin(), expected[1].end()));
    a.add(b);
    expected[0].merge(expected[1]);
    ASSERT_EQ(a.size(), expected[0].size());
    EXPECT_TRUE(a.contains_all(b));
    for (std::uint32_t number = 0; number < 32; ++number) {
      EXPECT_EQ(a.contains(number), expected[0].contains(number));
      EXPECT_EQ(a.contains(UINT32_MAX - number), expected[0].contains(UINT32_MAX - number));
    }
  }
}

TEST_F(RewriteTest, APackThatIsKeptForAFewChunksIsRewrittenToThem) {
  Store store = Store::create(path());
  ckp::Run run = store.create_run(run_options("cnn"));
  const auto first = save_parts(run, {1, 1, 1, 1}, 1);
  const auto second = save_parts(run, {1, 2, 2, 2}, 2);
  const OpenPack old_pack = open_pack(*posix_file_system(), file_of(first.id));

  const PrunePlan plan = store.plan_prune(keep_last(1));
  ASSERT_EQ(plan.rewrites.size(), 1u);
  EXPECT_EQ(plan.rewrites[0].pack, first.id);
  EXPECT_EQ(plan.rewrites[0].run, "cnn");
  EXPECT_EQ(plan.rewrites[0].bytes_before, stdfs::file_size(file_of(first.id)));
  EXPECT_EQ(plan.entries[0].bytes_freed, plan.bytes_freed);
  EXPECT_EQ(plan.bytes_held, plan.rewrites[0].bytes_after);
  EXPECT_NE(plan.entries[0].held.find("cnn@"), std::string::npos);

  const std::uint64_t before = bytes_on_disk();
  const PrunePlan done = store.prune(keep_last(1));
  EXPECT_EQ(done.bytes_freed, plan.bytes_freed);
  EXPECT_EQ(before - bytes_on_disk(), plan.bytes_freed);
  EXPECT_TRUE(done.notes.empty());
  EXPECT_EQ(stdfs::file_size(file_of(first.id)), plan.rewrites[0].bytes_after);
  expect_clean(store);
  EXPECT_TRUE(Parts({1, 2, 2, 2}).is_in(store.open_checkpoint(second)));

  const OpenPack pack = open_pack(*posix_file_system(), file_of(first.id));
  EXPECT_EQ(pack.directory.header.uuid, first.id);
  EXPECT_EQ(pack.directory.header.generation, 1u);
  EXPECT_TRUE(pack.directory.manifests.empty());
  ASSERT_EQ(pack.directory.chunks.size(), 1u);
  const auto* same = old_pack.directory.find_chunk(pack.directory.chunks[0].number);
  ASSERT_NE(same, nullptr);
  EXPECT_EQ(same->raw_digest, pack.directory.chunks[0].raw_digest);
  // Its checkpoint is gone, and nothing more is to be gained.
  expect_error(ErrorCode::not_found, "pruned", [&] { store.open_checkpoint(first); });
  EXPECT_EQ(store.prune(keep_last(1)).bytes_freed, 0u);
  // A rebuilt index and a new save go on as if nothing had been.
  store.rebuild_index();
  const auto third = save_parts(run, {1, 3, 3, 3}, 3);
  EXPECT_TRUE(Parts({1, 3, 3, 3}).is_in(store.open_checkpoint(third)));
  expect_clean(store);
}

TEST_F(RewriteTest, ItIsRewrittenAgainAndGoesInTheEnd) {
  Store store = Store::create(path());
  ckp::Run run = store.create_run(run_options("cnn"));
  const auto first = save_parts(run, {1, 1, 1, 1}, 1);
  save_parts(run, {1, 1, 2, 2}, 2);
  EXPECT_EQ(store.prune(keep_last(1)).rewrites.size(), 1u);
  const std::uint64_t once = stdfs::file_size(file_of(first.id));
  save_parts(run, {1, 3, 2, 2}, 3);
  EXPECT_EQ(store.prune(keep_last(1)).rewrites.size(), 1u);
  EXPECT_LT(stdfs::file_size(file_of(first.id)), once);
  EXPECT_EQ(open_pack(*posix_file_system(), file_of(first.id)).directory.header.generation, 2u);
  expect_clean(store);
  save_parts(run, {4, 3, 2, 2}, 4);
  store.prune(keep_last(1));
  EXPECT_TRUE(file_of(first.id).empty());
  expect_clean(store);
}

TEST_F(RewriteTest, TheThresholdDecides) {
  Store store = Store::create(path());
  ckp::Run run = store.create_run(run_options("cnn"));
  const auto first = save_parts(run, {1, 1, 1, 1}, 1);
  save_parts(run, {2, 1, 1, 1}, 2);
  EXPECT_TRUE(store.plan_prune(keep_last(1)).rewrites.empty());  // 17 % of it would go
  const auto at = [&](double threshold) {
    return store.plan_prune(keep_last(1), {}, {.waste_threshold = threshold}).rewrites;
  };
  ASSERT_EQ(at(0.1).size(), 1u);
  const PackRewrite all = at(0.1)[0];
  const double waste =
      1.0 - static_cast<double>(all.bytes_after) / static_cast<double>(all.bytes_before);
  EXPECT_EQ(at(waste - 0.001).size(), 1u);
  EXPECT_TRUE(at(waste + 0.001).empty());
  EXPECT_TRUE(at(1.1).empty());
  EXPECT_EQ(store.prune(keep_last(1)).bytes_freed, 0u);
  EXPECT_EQ(stdfs::file_size(file_of(first.id)), all.bytes_before);
  expect_clean(store);
}

TEST_F(RewriteTest, AReaderThatHasTheOldFileOpenGoesOn) {
  Store store = Store::create(path());
  ckp::Run run = store.create_run(run_options("cnn"));
  const auto first = save_parts(run, {1, 1, 1, 1}, 1);
  const auto second = save_parts(run, {1, 2, 2, 2}, 2);
  const Checkpoint pruned = store.open_checkpoint(first);
  const Checkpoint kept = store.open_checkpoint(second);
  ASSERT_EQ(store.prune(keep_last(1)).rewrites.size(), 1u);
  EXPECT_TRUE(Parts({1, 1, 1, 1}).is_in(pruned));
  EXPECT_TRUE(Parts({1, 2, 2, 2}).is_in(kept));
}

// H1: the save has asked which chunks it may share; then they are rewritten, and the checkpoint by
// which it knows them is removed.
TEST_F(RewriteTest, ASaveInProgressFindsItsChunks) {
  Store other = Store::create(path());
  const auto fs = std::make_shared<HookedFileSystem>();
  StoreOptions options;
  options.file_system = fs;
  Store store = Store::open(path(), options);
  ckp::Run run = store.create_run(run_options("cnn"));
  const auto first = save_parts(run, {1, 1, 1, 1}, 1);
  const auto second = save_parts(run, {1, 2, 2, 2}, 2);
  other.prune(keep_last(1), {}, {.waste_threshold = 2});
  const std::string asked =
      "status " + (path() / "runs" / run.record().directory / live_name(second)).string();
  bool acted = false;
  fs->after = [&](const std::string& operation) {
    if (acted || operation != asked) return;
    acted = true;
    const std::uint64_t before = stdfs::file_size(file_of(first.id));
    const std::uint64_t freed = other.remove_checkpoints(std::span(&second.id, 1));
    EXPECT_EQ(before - stdfs::file_size(file_of(first.id)), freed);
    EXPECT_GT(freed, 0u);
    EXPECT_FALSE(file_of(second.id).empty());  // the save in progress may refer to it
  };
  const auto third = save_parts(run, {1, 2, 3, 3}, 3);
  EXPECT_TRUE(acted);
  EXPECT_TRUE(Parts({1, 2, 3, 3}).is_in(store.open_checkpoint(third)));
  expect_clean(store);
  store.prune(keep_last(1));
  EXPECT_TRUE(Parts({1, 2, 3, 3}).is_in(store.open_checkpoint(third)));
  expect_clean(store);
}

TEST_F(RewriteTest, WithoutSpaceTheFileStaysAndThePruneSucceeds) {
  const auto fs = std::make_shared<FaultyFileSystem>(posix_file_system(), path());
  StoreOptions options;
  options.file_system = fs;
  Store store = Store::create(path(), options);
  ckp::Run run = store.create_run(run_options("cnn"));
  const auto first = save_parts(run, {1, 1, 1, 1}, 1);
  save_parts(run, {1, 2, 2, 2}, 2);
  const auto size = stdfs::file_size(file_of(first.id));
  for (const std::string verb : {"reserve ", "write ", "sync "}) {
    fs->plan({.at = 1, .code = ErrorCode::out_of_space, .only = [&](const std::string& operation) {
                return operation.starts_with(verb) && operation.find(".tmp") != std::string::npos;
              }});
    const PrunePlan done = store.prune(keep_last(1));
    EXPECT_EQ(fs->failures(), 1u) << verb;
    fs->clear();
    EXPECT_EQ(done.bytes_freed, 0u);
    EXPECT_TRUE(done.rewrites.empty());
    ASSERT_EQ(done.notes.size(), 1u);
    EXPECT_NE(done.notes[0].find(first.id.hex()), std::string::npos) << done.notes[0];
    EXPECT_NE(done.notes[0].find("injected"), std::string::npos) << done.notes[0];
    EXPECT_EQ(stdfs::file_size(file_of(first.id)), size);
    EXPECT_EQ(epochs(store.checkpoints(run.record().id)), (std::vector<std::int64_t>{2}));
    expect_clean(store);
  }
  EXPECT_EQ(store.prune(keep_last(1)).rewrites.size(), 1u);
  expect_clean(store);
}

// A rewrite never makes of damage something that looks whole.
TEST_F(RewriteTest, ADamagedChunkIsNotCopied) {
  Store store = Store::create(path());
  ckp::Run run = store.create_run(run_options("cnn"));
  const auto first = save_parts(run, {1, 1, 1, 1}, 1);
  save_parts(run, {1, 2, 2, 2}, 2);
  save_parts(run, {5, 5, 5, 5}, 3);
  const OpenPack pack = open_pack(*posix_file_system(), file_of(first.id));
  {
    const auto file = posix_file_system()->open(file_of(first.id), OpenMode::read_write);
    const std::array<std::byte, 4> damage{};
    file->write_at(pack.directory.chunks[0].offset + 1000, damage);
  }
  const auto bytes = stdfs::file_size(file_of(first.id));
  KeepPolicy policy;
  policy.last = 2;
  const PrunePlan done = store.prune(policy);
  ASSERT_EQ(done.notes.size(), 1u);
  EXPECT_NE(done.notes[0].find("chunk 0"), std::string::npos) << done.notes[0];
  EXPECT_EQ(done.bytes_freed, 0u);
  EXPECT_EQ(stdfs::file_size(file_of(first.id)), bytes);
  EXPECT_FALSE(store.verify().clean());
}

TEST_F(RewriteTest, ARemovedRunsDirectoryGoesWithItsLastPack) {
  Store store = Store::create(path());
  std::string directory;
  {
    ckp::Run base = store.create_run(run_options("base"));
    save_parts(base, {1, 1, 1, 1}, 1);
    directory = base.record().directory;
  }
  ckp::Run fork = store.create_run(run_options("fork"));
  save_parts(fork, {1, 2, 2, 2}, 1);
  EXPECT_GT(store.remove_run("base"), 0u);  // rewritten to what the fork needs
  ASSERT_TRUE(stdfs::exists(path() / "runs" / directory));
  EXPECT_TRUE(Parts({1, 2, 2, 2}).is_in(store.open_checkpoint(store.find(parse_address("fork")))));
  expect_clean(store);
  save_parts(fork, {3, 3, 3, 3}, 2);
  store.prune(keep_last(1));
  EXPECT_FALSE(stdfs::exists(path() / "runs" / directory));
  EXPECT_EQ(store.runs().size(), 1u);
  expect_clean(store);
}

// Everything fails from operation k on, for every k: as good as killed there.
TEST_F(RewriteTest, KilledAnywhereTheOldOrTheNewFileIsThere) {
  const test::TemporaryDirectory memory(test::memory_directory());
  const auto filled = memory / "filled", used = memory / "used";
  Uuid shared;
  {
    Store store = Store::create(filled);
    ckp::Run run = store.create_run(run_options("cnn"));
    shared = save_parts(run, {1, 1, 1, 1}, 1).id;
    save_parts(run, {9, 9, 9, 9}, 2);
    save_parts(run, {1, 2, 2, 2}, 3);
  }
  const auto size_of_shared = [&] {
    for (const auto& entry : stdfs::recursive_directory_iterator(used / "runs")) {
      const auto name = parse_pack_name(entry.path().filename().string());
      const bool is_it = name && name->uuid == shared && name->state != PackState::temporary;
      if (is_it) return entry.file_size();
    }
    return std::uintmax_t{0};
  };
  const auto copy_store = [&] {
    stdfs::remove_all(used);
    stdfs::copy(filled, used, stdfs::copy_options::recursive);
  };
  const PackRewrite plan = Store::open(filled).plan_prune(keep_last(1)).rewrites.at(0);
  std::uint64_t kills = 0, old_files = 0;
  for (std::uint64_t k = 1;; ++k) {
    SCOPED_TRACE("operation " + std::to_string(k));
    copy_store();
    const auto fs = std::make_shared<FaultyFileSystem>(posix_file_system(), used);
    StoreOptions options;
    options.file_system = fs;
    {
      Store store = Store::open(used, options);
      fs->plan({.at = k, .forever = true, .torn_write = true});
      try {
        store.prune(keep_last(1));
      } catch (const Error&) {
      }
    }
    if (fs->failures() == 0) break;
    ++kills;
    Store store = Store::open(used);
    for (const Finding& finding : store.verify({.level = VerifyLevel::full}).findings) {
      ADD_FAILURE() << finding.message;
    }
    EXPECT_TRUE(Parts({1, 2, 2, 2}).is_in(store.open_checkpoint(store.find(parse_address("cnn")))));
    const auto size = size_of_shared();
    ASSERT_TRUE(size == plan.bytes_before || size == plan.bytes_after) << size;
    old_files += size == plan.bytes_before;
    // The same call again leaves what an undisturbed one would have left.
    store.prune(keep_last(1));
    ASSERT_EQ(size_of_shared(), plan.bytes_after);
    expect_clean(store);
    EXPECT_TRUE(Parts({1, 2, 2, 2}).is_in(store.open_checkpoint(store.find(parse_address("cnn")))));
    if (HasFailure()) return;
  }
  EXPECT_GT(kills, 100u);
  EXPECT_LT(old_files, kills);
  test::figure("P1 rewrite, killed at each operation",
               std::to_string(kills) + " operations, old file " + std::to_string(old_files) +
                   " times, new file " + std::to_string(kills - old_files) + ", 0 violations");
}

// Random saves that share some of their tensors, prunes and removals: what is kept loads, and every
// plan is exact.
TEST_F(RewriteTest, RandomPlansAreExactAndWhatIsKeptLoads) {
  const test::TemporaryDirectory memory(test::memory_directory());
  const auto place = memory / "store";
  std::mt19937_64 random(test::seed(20283));
  Store store = Store::create(place);
  std::vector<ckp::Run> runs;
  runs.push_back(store.create_run(run_options("a")));
  runs.push_back(store.create_run(run_options("b")));
  std::map<Uuid, std::vector<int>> versions_of;
  std::size_t rewrites = 0, prunes = 0;
  for (int i = 0; i < 150; ++i) {
    ckp::Run& run = runs[random() % runs.size()];
    if (random() % 3 != 0) {
      std::vector<int> versions(4);
      for (int& version : versions) version = static_cast<int>(random() % 4);
      versions_of[save_parts(run, versions, i).id] = versions;
      continue;
    }
    const KeepPolicy policy = keep_last(static_cast<std::uint32_t>(1 + random() % 3));
    const PruneOptions options{.waste_threshold = 0.25 * static_cast<double>(random() % 4)};
    const std::uint64_t before = bytes_below(place);
    const PrunePlan plan = store.plan_prune(policy, {}, options);
    const PrunePlan done = store.prune(policy, {}, options);
    ASSERT_EQ(done.bytes_freed, plan.bytes_freed);
    ASSERT_EQ(done.rewrites.size(), plan.rewrites.size());
    ASSERT_EQ(before - bytes_below(place), plan.bytes_freed);
    rewrites += plan.rewrites.size();
    ++prunes;
    for (const RunRecord& record : store.runs()) {
      for (const CheckpointRecord& checkpoint : store.checkpoints(record.id)) {
        ASSERT_TRUE(Parts(versions_of.at(checkpoint.id)).is_in(store.open_checkpoint(checkpoint)));
      }
    }
  }
  expect_clean(store);
  EXPECT_GT(rewrites, 10u);
  test::figure("P9 plans with rewrites", std::to_string(prunes) + " prunes, " +
                                             std::to_string(rewrites) + " rewrites, all exact");
}

}  // namespace
}  // namespace ckp
