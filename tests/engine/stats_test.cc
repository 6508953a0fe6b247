// Where the bytes are: against the files, and against manifests read one by one.
#include "ckp/stats.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <random>

#include "load/open_pack.h"
#include "rewrite_fixture.h"
#include "sample_states.h"
#include "store/registration.h"
#include "store/store_core.h"
#include "support/hooked_file_system.h"
#include "support/seed.h"

namespace ckp {
namespace {

using test::SmallState;

PruneOptions never_rewriting() {
  PruneOptions options;
  options.waste_threshold = 2;
  return options;
}

void expect_chain(const NeededBytes& needed) {
  EXPECT_LE(needed.shared, needed.raw);
  EXPECT_EQ(needed.raw - needed.shared + needed.filler + needed.patches - needed.compressed -
                needed.missing,
            needed.stored);
}

class StatsTest : public test::RewriteTest {
 protected:
  // Of every file in the store, without following links.
  std::uint64_t all_bytes() const {
    std::uint64_t bytes = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path())) {
      if (entry.is_regular_file()) bytes += entry.file_size();
    }
    return bytes;
  }
  // What holds of every store, whatever happened to it.
  StoreStats stats_of(const Store& store, double waste_threshold = 0.5) const {
    const StoreStats stats = store.stats(waste_threshold);
    NeededBytes needed;
    std::uint64_t disk = 0;
    for (const RunStats& run : stats.runs) {
      expect_chain(run.needed);
      needed += run.needed;
      disk += run.disk.total();
    }
    expect_chain(stats.needed);
    EXPECT_EQ(needed.raw, stats.needed.raw);
    EXPECT_EQ(needed.stored, stats.needed.stored);
    EXPECT_LE(disk, stats.disk.total());
    EXPECT_EQ(stats.disk.payload, stats.needed.stored);
    EXPECT_EQ(stats.total(), all_bytes());
    return stats;
  }
  // What live checkpoints need, by their manifests and the tables of the packs these name.
  static void expect_as_in_files(const Store& store, const StoreStats& stats) {
    std::map<std::pair<Uuid, std::uint32_t>, std::pair<std::uint64_t, std::uint64_t>> chunks;
    std::map<std::pair<Uuid, std::uint32_t>, std::uint64_t> patches;
    std::uint64_t raw = 0, checkpoints = 0, patch_bytes = 0;
    for (const RunRecord& run : store.runs()) {
      for (const CheckpointRecord& record : store.checkpoints(run.id)) {
        const Checkpoint checkpoint = store.open_checkpoint(record);
        ++checkpoints;
        raw += record.tensor_bytes;
        const auto pack_of = [&](const format::ChunkReference& reference) {
          return reference.address.pack.is_nil() ? record.id : reference.address.pack;
        };
        for (const format::Patch& patch : checkpoint.manifest().patches) {
          const auto& reference = checkpoint.manifest().references.at(patch.reference);
          patches[{pack_of(reference), reference.address.number}] = reference.raw_size;
        }
        for (const auto& reference : checkpoint.manifest().references) {
          const Uuid pack = pack_of(reference);
          const auto& directory = checkpoint.parts().packs.at(pack).directory;
          chunks[{pack, reference.address.number}] = {
              reference.raw_size, directory.find_chunk(reference.address.number)->stored_size};
        }
      }
    }
    std::uint64_t distinct = 0, stored = 0;
    for (const auto& [place, sizes] : chunks) {
      distinct += sizes.first;
      stored += sizes.second;
    }
    for (const auto& [place, size] : patches) patch_bytes += size;
    EXPECT_EQ(stats.needed.patches, patch_bytes);
    EXPECT_EQ(stats.needed.checkpoints, checkpoints);
    EXPECT_EQ(stats.needed.raw, raw);
    EXPECT_EQ(stats.needed.chunks, chunks.size());
    EXPECT_EQ(stats.needed.stored, stored);
    EXPECT_EQ(stats.needed.compressed, distinct - stored);
    EXPECT_EQ(stats.needed.missing, 0u);
    EXPECT_TRUE(stats.unread.empty());
  }
  static const RunStats& run_named(const StoreStats& stats, std::string_view name) {
    for (const RunStats& run : stats.runs) {
      if (run.name == name) return run;
    }
    throw std::runtime_error("no run " + std::string(name));
  }
};

TEST_F(StatsTest, AnEmptyStoreHasNothing) {
  const Store store = Store::create(path());
  const StoreStats stats = stats_of(store);
  EXPECT_TRUE(stats.runs.empty());
  EXPECT_EQ(stats.needed.raw, 0u);
  EXPECT_EQ(stats.disk.garbage, 0u);
}

TEST_F(StatsTest, TheSameStateTwiceIsStoredOnce) {
  Store store = Store::create(path());
  ckp::Run run = store.create_run(run_options("cnn"));
  const auto one = save_parts(run, {1, 2}, 1);
  const StoreStats before = stats_of(store);
  EXPECT_EQ(before.needed.raw, one.tensor_bytes);
  EXPECT_EQ(before.needed.shared, 0u);
  EXPECT_GT(before.needed.compressed, 0u);
  save_parts(run, {1, 2}, 2);
  const StoreStats stats = stats_of(store);
  EXPECT_EQ(stats.needed.checkpoints, 2u);
  EXPECT_EQ(stats.needed.raw, 2 * one.tensor_bytes);
  EXPECT_EQ(stats.needed.shared, one.tensor_bytes);
  EXPECT_EQ(stats.needed.stored, before.needed.stored);
  EXPECT_GT(stats.disk.manifests, before.disk.manifests);
  expect_as_in_files(store, stats);
}

TEST_F(StatsTest, EqualTensorsOfOneCheckpointAreShared) {
  Store store = Store::create(path());
  ckp::Run run = store.create_run(run_options("cnn"));
  std::vector<float> values(20'000);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = std::sin(static_cast<float>(i));
  const std::vector<float> copy = values;
  StateDict state;
  state.add("a", contiguous_view(DType::float32, {20'000}, values.data()));
  state.add("b", contiguous_view(DType::float32, {20'000}, copy.data()));
  run.save(state, {.epoch = 1, .step = 1}).wait();
  const StoreStats stats = stats_of(store);
  EXPECT_EQ(stats.needed.raw, 160'000u);
  EXPECT_EQ(stats.needed.shared, 80'000u);
  expect_as_in_files(store, stats);
}

TEST_F(StatsTest, WhatLiesBetweenSmallTensorsIsFiller) {
  Store store = Store::create(path());
  ckp::Run run = store.create_run(run_options("cnn"));
  const std::vector<float> a{1, 2, 3}, b{4, 5, 6}, c{7, 8, 9};
  StateDict state;
  state.add("a", contiguous_view(DType::float32, {3}, a.data()));
  state.add("b", contiguous_view(DType::float32, {3}, b.data()));
  state.add("c", contiguous_view(DType::float32, {3}, c.data()));
  run.save(state, {.epoch = 1, .step = 1}).wait();
  const StoreStats stats = stats_of(store);
  EXPECT_EQ(stats.needed.raw, 36u);
  EXPECT_EQ(stats.needed.chunks, 1u);
  EXPECT_EQ(stats.needed.filler, 8u);
  EXPECT_EQ(stats.needed.shared, 0u);
}

// A row of 256 bytes, its number, and the sizes before them.
TEST_F(StatsTest, ChangedRowsLieOnTopOfWhatIsShared) {
  Store store = Store::create(path());
  ckp::Run run = store.create_run(run_options("cnn"));
  std::vector<std::byte> table = test::random_bytes(512 << 10, 3);
  const auto save = [&](int epoch) {
    StateDict state;
    state.add("table", test::view_of(table, DType::uint8, {512 << 10}, {1}));
    return run.save(state, {.epoch = epoch, .step = epoch}).wait();
  };
  save(1);
  EXPECT_EQ(stats_of(store).needed.patches, 0u);
  for (const std::size_t rows : {1u, 3u}) {
    for (std::size_t i = 0; i < rows; ++i) table[i * 1000] ^= std::byte{1};
    ASSERT_EQ(save(static_cast<int>(rows) + 1).patches_written, 1u);
  }
  const StoreStats stats = stats_of(store);
  EXPECT_EQ(stats.needed.raw, 3u * (512 << 10));
  EXPECT_EQ(stats.needed.shared, 2u * (512 << 10));
  EXPECT_EQ(stats.needed.patches, 2 * 8 + 4 * (256 + 4u));
  EXPECT_EQ(stats.needed.filler, 0u);
  expect_as_in_files(store, stats);
}

TEST_F(StatsTest, ChangedRowsAddUpWhateverIsSavedAndPruned) {
  std::mt19937_64 random(test::seed(43));
  Store store = Store::create(path());
  ckp::Run run = store.create_run(run_options("cnn"));
  std::vector<std::byte> table = test::random_bytes(300'000, 4);
  std::uint64_t patches = 0;
  for (int epoch = 1; epoch <= 40; ++epoch) {
    const std::size_t changes = random() % 8 == 0 ? 300 : random() % 20;
    for (std::size_t i = 0; i < changes; ++i) table[random() % table.size()] ^= std::byte{1};
    StateDict state;
    state.add("table", test::view_of(table, DType::uint8, {300'000}, {1}));
    state.add("step", test::view_of(table, DType::uint8, {7}, {1}));
    SaveOptions options{.epoch = epoch, .step = epoch};
    options.encode.chunk_size = 64 << 10;
    patches += run.save(state, options).wait().patches_written;
    if (random() % 4 == 0) store.prune(keep_last(static_cast<std::uint32_t>(1 + random() % 5)));
    expect_as_in_files(store, stats_of(store));
  }
  EXPECT_GT(patches, 10u);
}

TEST_F(StatsTest, GarbageIsWhatThePruneFrees) {
  Store store = Store::create(path());
  ckp::Run run = store.create_run(run_options("cnn"));
  const auto first = save_parts(run, {1, 1, 1}, 1);
  save_parts(run, {1, 2, 2}, 2);
  store.prune(keep_last(1), {}, never_rewriting());
  const StoreStats kept = stats_of(store, 2);
  EXPECT_EQ(kept.disk.garbage, 0u);
  std::uint64_t dead = 0;
  const auto table = open_pack(*posix_file_system(), file_of(first.id)).directory.chunks;
  for (const auto& chunk : table) {
    if (chunk.raw_size != 80'000) dead += chunk.stored_size;  // part1, part2
  }
  EXPECT_GT(dead, 0u);
  EXPECT_EQ(kept.disk.dead, dead);
  expect_as_in_files(store, kept);

  const StoreStats before = stats_of(store);
  EXPECT_GT(before.disk.garbage, 0u);
  EXPECT_EQ(before.disk.garbage, store.plan_prune(keep_last(1)).bytes_freed);
  EXPECT_EQ(before.disk.dead, 0u);
  store.prune(keep_last(1));
  const StoreStats after = stats_of(store);
  EXPECT_EQ(after.disk.garbage, 0u);
  EXPECT_EQ(before.disk.total() - after.disk.total(), before.disk.garbage);
  EXPECT_EQ(after.disk.headers, before.disk.headers) << "foreseen as the rewrite has made them";
  EXPECT_EQ(after.disk.padding, before.disk.padding);
  EXPECT_EQ(after.needed.stored, before.needed.stored);
}

TEST_F(StatsTest, LeftoversAreGarbageAndSavesInProgressAreNot) {
  Store store = Store::create(path());
  ckp::Run run = store.create_run(run_options("cnn"));
  const auto first = save_parts(run, {1}, 1);
  save_parts(run, {2}, 2);
  PackName name;
  name.state = PackState::temporary;
  name.uuid = *Uuid::from_hex("0123456789abcdef0123456789abcdef");
  name.began = 1;
  const auto folder = path() / "runs" / run.record().directory;
  std::ofstream(folder / to_file_name(name)) << "half a pack";
  std::ofstream(folder / "notes.txt") << "mine";
  const StoreStats stats = stats_of(store);
  EXPECT_EQ(run_named(stats, "cnn").disk.garbage, 11u);
  EXPECT_EQ(run_named(stats, "cnn").disk.other, 4u);
  EXPECT_GT(run_named(stats, "cnn").disk.journals, 0u);
  format::StoreIdentity identity;
  identity.uuid = store.uuid();
  StoreCore core(path(), {}, identity);
  Registration in_progress(core, run.record().directory);
  const std::vector<std::byte> written(1000);
  in_progress.file().write_at(0, written);
  const std::uint64_t size = std::filesystem::file_size(file_of(first.id));
  store.prune(keep_last(1));  // takes the leftover, not the pack
  const StoreStats saving = stats_of(store);
  EXPECT_EQ(saving.disk.in_progress, 1000u);
  EXPECT_EQ(saving.disk.garbage, 0u);
  EXPECT_EQ(saving.disk.dead, size) << "the save may refer to it";
}

TEST_F(StatsTest, TheFirstRunPaysForWhatSeveralShare) {
  Store store = Store::create(path());
  ckp::Run one = store.create_run(run_options("one"));
  const auto saved = save_parts(one, {1, 2}, 1);
  ckp::Run two = store.create_run(run_options("two"));
  save_parts(two, {1, 2}, 1);
  const StoreStats both = stats_of(store);
  EXPECT_EQ(run_named(both, "two").needed.shared, saved.tensor_bytes);
  EXPECT_EQ(run_named(both, "two").needed.stored, 0u);
  EXPECT_EQ(run_named(both, "one").needed.stored, both.needed.stored);
  one.finish(RunStatus::completed);
  { const ckp::Run released = std::move(one); }
  store.remove_run("one");
  const StoreStats left = stats_of(store);
  EXPECT_EQ(left.needed.checkpoints, 1u);
  EXPECT_EQ(left.needed.stored, both.needed.stored);
  EXPECT_EQ(run_named(left, "two").needed.shared, 0u);
  EXPECT_EQ(run_named(left, "two").disk.payload, 0u);
  const auto holder = std::find_if(left.runs.begin(), left.runs.end(),
                                   [](const RunStats& run) { return run.name != "two"; });
  ASSERT_NE(holder, left.runs.end());
  EXPECT_EQ(holder->name, holder->directory);
  EXPECT_EQ(holder->disk.payload, left.needed.stored);
  expect_as_in_files(store, left);
}

TEST_F(StatsTest, WhatCannotBeReadIsNamedAndTheRestIsCounted) {
  Store store = Store::create(path());
  ckp::Run run = store.create_run(run_options("cnn"));
  const auto damaged = save_parts(run, {1, 2}, 1);
  save_parts(run, {1, 3}, 2);
  ckp::Run other = store.create_run(run_options("other"));
  save_parts(other, {7}, 1);
  const auto file = file_of(damaged.id);
  std::filesystem::resize_file(file, 300);
  const StoreStats stats = stats_of(store);
  ASSERT_EQ(stats.unread.size(), 1u);
  EXPECT_EQ(stats.unread[0].path, file.string());
  EXPECT_EQ(stats.unread[0].run, "cnn");
  EXPECT_EQ(stats.unread[0].code, ErrorCode::corrupt);
  EXPECT_NE(stats.unread[0].message.find(file.string()), std::string::npos);
  EXPECT_EQ(run_named(stats, "cnn").needed.checkpoints, 1u);
  EXPECT_EQ(run_named(stats, "cnn").needed.missing, 80'000u) << "part0, which it shared";
  EXPECT_EQ(run_named(stats, "cnn").disk.unreadable, 300u);
  EXPECT_EQ(run_named(stats, "other").needed.checkpoints, 1u);
  EXPECT_EQ(run_named(stats, "other").needed.missing, 0u);

  std::filesystem::remove(file);
  std::filesystem::create_symlink("nowhere", file);
  const StoreStats linked = stats_of(store);
  ASSERT_EQ(linked.unread.size(), 1u);
  EXPECT_NE(linked.unread[0].message.find("leads nowhere"), std::string::npos);
  EXPECT_EQ(linked.needed.checkpoints, 2u);

  std::filesystem::remove(file);
  std::filesystem::copy_file(
      std::filesystem::path(CKP_SOURCE_DIR) / "tests/golden/v1" / "newer-version.ckp", file);
  const StoreStats newer = stats_of(store);
  ASSERT_EQ(newer.unread.size(), 1u);
  EXPECT_EQ(newer.unread[0].code, ErrorCode::newer_format);
}

// Whenever it opens a file, others prune: what it has listed is gone, and it looks again.
TEST_F(StatsTest, APruneMeanwhileIsNoDamage) {
  bool pruned = true;
  for (int turn = 1; pruned; ++turn) {
    SCOPED_TRACE("before pack " + std::to_string(turn) + " is opened");
    std::filesystem::remove_all(path());
    Store store = Store::create(path());
    ckp::Run run = store.create_run(run_options("cnn"));
    for (int epoch = 1; epoch <= 3; ++epoch) save_parts(run, {epoch, 7}, epoch);
    const auto hooked = std::make_shared<test::HookedFileSystem>();
    const Store watched = Store::open(path(), {.file_system = hooked});
    pruned = false;
    int opened = 0;
    hooked->before = [&](const std::string& operation) {
      if (!operation.starts_with("open ") || operation.find(".ckp") == std::string::npos) return;
      if (++opened != turn) return;
      pruned = true;
      store.prune(keep_last(1));
    };
    const StoreStats stats = watched.stats();
    hooked->before = nullptr;
    EXPECT_TRUE(stats.unread.empty());
    expect_chain(stats.needed);
    EXPECT_EQ(stats.needed.missing, 0u);
    EXPECT_EQ(stats.disk.payload, stats.needed.stored);
    EXPECT_TRUE(stats.needed.checkpoints == 1 || stats.needed.checkpoints == 3);
    if (!pruned) {
      EXPECT_GT(turn, 3) << "no pack was opened";
    }
  }
}

// Saves, prunes and removals in any order: the sums hold, and are those of the files.
TEST_F(StatsTest, TheNumbersAddUpWhateverHappens) {
  std::mt19937_64 random(test::seed(11));
  const auto pick = [&](unsigned below) { return static_cast<int>(random() % below); };
  Store store = Store::create(path());
  for (int round = 0; round < 6; ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    {
      ckp::Run run = store.create_run(run_options("run" + std::to_string(round)));
      for (int epoch = 1; epoch <= 3; ++epoch) {
        save_parts(run, {pick(2), pick(3), pick(2), pick(4)}, epoch);
      }
      run.finish(RunStatus::completed);
    }
    if (pick(2) == 0) {
      PruneOptions options;
      options.waste_threshold = pick(3) * 0.4;
      store.prune(keep_last(static_cast<std::uint32_t>(1 + pick(2))), {}, options);
    }
    if (round > 0 && pick(3) == 0) store.remove_run(store.runs().front().name);
    const StoreStats stats = stats_of(store, pick(3) * 0.4);
    expect_as_in_files(store, stats);
    const StoreStats usual = stats_of(store);
    EXPECT_EQ(usual.disk.garbage, store.plan_prune(keep_last(100)).bytes_freed);
  }
}

}  // namespace
}  // namespace ckp
