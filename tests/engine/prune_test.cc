// Retiring and collecting on a real store.
#include <algorithm>
#include <array>
#include <fstream>
#include <numeric>
#include <random>
#include <set>

#include "load/open_pack.h"
#include "store/registration.h"
#include "store/store_core.h"
#include "store_fixture.h"
#include "support/seed.h"

namespace ckp {
namespace {

using test::expect_error;
using test::SmallState;
using test::StoreTest;

class PruneTest : public StoreTest {
 protected:
  static KeepPolicy keep_last(std::uint32_t count) {
    KeepPolicy policy;
    policy.last = count;
    return policy;
  }
  // Sizes of all files below runs/.
  std::uint64_t bytes_on_disk() const {
    std::uint64_t bytes = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path() / "runs")) {
      if (entry.is_regular_file()) bytes += entry.file_size();
    }
    return bytes;
  }
};

TEST_F(PruneTest, AnEmptyPolicyIsRefused) {
  Store store = Store::create(path());
  { ckp::Run run = store.create_run(run_options("cnn")); }
  expect_error(ErrorCode::invalid_argument, "keep", [&] { store.prune({}); });
}

TEST_F(PruneTest, KeepsLastAndBestAndFreesExactlyWhatItSaid) {
  Store store = Store::create(path());
  ckp::Run run = store.create_run(run_options("cnn"));
  const double losses[] = {0.9, 0.2, 0.5, 0.6, 0.7};
  for (int epoch = 1; epoch <= 5; ++epoch) save(run, epoch, losses[epoch - 1]);
  KeepPolicy policy = keep_last(1);
  policy.best.push_back({1, "val/loss", std::nullopt});

  const PrunePlan plan = store.plan_prune(policy);
  const std::uint64_t before = bytes_on_disk();
  EXPECT_EQ(store.checkpoints(run.record().id).size(), 5u);  // the plan changed nothing
  const PrunePlan done = store.prune(policy);
  EXPECT_EQ(before - bytes_on_disk(), plan.bytes_freed);
  EXPECT_EQ(done.bytes_freed, plan.bytes_freed);
  EXPECT_EQ(epochs(store.checkpoints(run.record().id)), (std::vector<std::int64_t>{2, 5}));
  EXPECT_TRUE(store.verify({.level = VerifyLevel::full}).clean());
  for (const PruneEntry& entry : plan.entries) EXPECT_FALSE(entry.decision.reasons.empty());
}

TEST_F(PruneTest, TheNewestFiniteCheckpointStaysWhateverThePolicySays) {
  Store store = Store::create(path());
  ckp::Run run = store.create_run(run_options("cnn"));
  save(run, 1, 0.1);
  save(run, 2, 0.9);
  SmallState poisoned(3);
  poisoned.poison();
  run.save(poisoned.dict(), {.epoch = 3, .step = 300}).wait();
  KeepPolicy policy;
  policy.best.push_back({1, "val/loss", Better::lower});
  store.prune(policy);
  EXPECT_EQ(epochs(store.checkpoints(run.record().id)), (std::vector<std::int64_t>{1, 2}));
}

TEST_F(PruneTest, ChunksThatAKeptCheckpointNeedsStay) {
  Store store = Store::create(path());
  ckp::Run run = store.create_run(run_options("cnn"));
  const SmallState state(1);
  run.save(state.dict(), {.epoch = 1, .step = 1}).wait();
  const auto kept = run.save(state.dict(), {.epoch = 2, .step = 2}).wait().checkpoint;
  const PrunePlan plan = store.prune(keep_last(1));
  EXPECT_EQ(plan.bytes_freed, 0u);
  EXPECT_GT(plan.bytes_held, 0u);
  EXPECT_NE(plan.entries.front().held.find("cnn@"), std::string::npos);
  EXPECT_TRUE(state.is_in(store.open_checkpoint(kept)));
  EXPECT_TRUE(store.verify({.level = VerifyLevel::full}).clean());

  // Once nothing needs them any more, the next prune frees them.
  save(run, 3);
  const PrunePlan later = store.prune(keep_last(1));
  EXPECT_GT(later.bytes_freed, plan.bytes_held);
  EXPECT_TRUE(store.verify().clean());
}

// H1: a save that has registered may still refer to what is retired while it runs.
TEST_F(PruneTest, NothingIsCollectedFromUnderASaveInProgress) {
  Store store = Store::create(path());
  ckp::Run run = store.create_run(run_options("cnn"));
  const auto first = save(run, 1);
  save(run, 2);
  format::StoreIdentity identity;
  identity.uuid = store.uuid();
  StoreCore core(path(), {}, identity);
  {
    const Registration in_progress(core, run.record().directory);
    const PrunePlan plan = store.prune(keep_last(1));
    EXPECT_EQ(plan.bytes_freed, 0u);
    EXPECT_NE(plan.entries.front().held.find("save in progress"), std::string::npos);
    // Retired all the same: it is no checkpoint any more.
    expect_error(ErrorCode::not_found, "pruned", [&] { store.open_checkpoint(first); });
  }
  EXPECT_GT(store.prune(keep_last(1)).bytes_freed, 0u);
}

TEST_F(PruneTest, LeftoversOfDeadSavesAreGarbage) {
  Store store = Store::create(path());
  ckp::Run run = store.create_run(run_options("cnn"));
  save(run, 1);
  PackName name;
  name.state = PackState::temporary;
  name.uuid = *Uuid::from_hex("0123456789abcdef0123456789abcdef");
  name.began = 1;
  const auto leftover = path() / "runs" / run.record().directory / to_file_name(name);
  std::ofstream(leftover) << "half a pack";
  EXPECT_FALSE(store.verify().notes.empty());
  const PrunePlan plan = store.prune(keep_last(1));
  EXPECT_EQ(plan.garbage_files, 1u);
  EXPECT_EQ(plan.bytes_freed, 11u);
  EXPECT_FALSE(std::filesystem::exists(leftover));
}

// R1: what would be left must load. Otherwise a run would end up with nothing.
TEST_F(PruneTest, ADamagedNewestCheckpointStopsTheDeletionOfOthers) {
  Store store = Store::create(path());
  ckp::Run run = store.create_run(run_options("cnn"));
  save(run, 1);
  const auto kept = save(run, 2);
  const auto newest = run.save(SmallState(3).dict(), {.epoch = 3, .step = 300}).wait();
  const auto offset = open_pack(*posix_file_system(), newest.path).directory.chunks.at(0).offset;
  std::array<std::byte, 4> bytes{};
  {
    const auto file = posix_file_system()->open(newest.path, OpenMode::read_write);
    file->read_at(offset + 1000, bytes);
    for (std::byte& byte : bytes) byte = ~byte;
    file->write_at(offset + 1000, bytes);
  }
  expect_error(ErrorCode::corrupt, "its newest checkpoint is damaged",
               [&] { store.plan_prune(keep_last(1)); });
  expect_error(ErrorCode::corrupt, "its newest checkpoint is damaged",
               [&] { store.prune(keep_last(1)); });
  EXPECT_EQ(epochs(store.checkpoints(run.record().id)), (std::vector<std::int64_t>{1, 2, 3}));
  EXPECT_TRUE(SmallState(2).is_in(store.open_checkpoint(kept)));
  // Nothing would go, so nothing is asked of it.
  EXPECT_EQ(store.prune(keep_last(3)).bytes_freed, 0u);
  // The way out that the error names.
  store.remove_checkpoints(std::span(&newest.checkpoint.id, 1));
  EXPECT_GT(store.prune(keep_last(1)).bytes_freed, 0u);
  EXPECT_EQ(epochs(store.checkpoints(run.record().id)), (std::vector<std::int64_t>{2}));
}

// Other runs have nothing to do with it.
TEST_F(PruneTest, ADamagedCheckpointOfARunThatIsNotPrunedDoesNotStopIt) {
  Store store = Store::create(path());
  ckp::Run other = store.create_run(run_options("other"));
  const auto damaged = other.save(SmallState(9).dict(), {.epoch = 1, .step = 1}).wait().path;
  const auto offset = open_pack(*posix_file_system(), damaged).directory.chunks.at(0).offset;
  const std::array<std::byte, 4> zeros{};
  posix_file_system()->open(damaged, OpenMode::read_write)->write_at(offset + 1000, zeros);
  ckp::Run run = store.create_run(run_options("cnn"));
  save(run, 1);
  save(run, 2);
  EXPECT_GT(store.prune(keep_last(1), std::vector<std::string>{"cnn"}).bytes_freed, 0u);
}

// No rule can judge what cannot be read, and it may need anything.
TEST_F(PruneTest, ACheckpointThatCannotBeReadStopsTheDeletionOfOthers) {
  using Spoil = void (*)(const std::filesystem::path&);
  const std::pair<const char*, Spoil> ways[] = {
      {"cut off", [](const auto& file) { std::filesystem::resize_file(file, 300); }},
      {"a directory",
       [](const auto& file) {
         std::filesystem::remove(file);
         std::filesystem::create_directory(file);
       }},
      {"a link to nowhere", [](const auto& file) {
         std::filesystem::remove(file);
         std::filesystem::create_symlink("nowhere", file);
       }}};
  for (const auto& [way, spoil] : ways) {
    for (const int spoilt : {1, 2, 3}) {
      SCOPED_TRACE(std::string(way) + " in place of " + std::to_string(spoilt));
      std::filesystem::remove_all(path());
      Store store = Store::create(path());
      ckp::Run run = store.create_run(run_options("cnn"));
      std::map<int, SaveReport> saved;
      for (const int epoch : {1, 2, 3}) {
        saved[epoch] = run.save(SmallState(epoch).dict(), {.epoch = epoch, .step = epoch}).wait();
      }
      spoil(saved[spoilt].path);
      const auto names = [&] {
        std::set<std::string> all;
        for (const auto& entry : std::filesystem::directory_iterator(saved[1].path.parent_path())) {
          all.insert(entry.path().filename().string());
        }
        return all;
      };
      const auto before = names();
      const auto refused = [&](const auto& prune) {
        try {
          prune();
          ADD_FAILURE() << "not refused";
        } catch (const Error& error) {
          for (const std::string& word :
               {saved[spoilt].path.string(), "cnn@" + saved[spoilt].checkpoint.id.short_hex(),
                std::string("nothing was deleted"), std::string("ckptool repair")}) {
            EXPECT_NE(std::string_view(error.what()).find(word), std::string_view::npos)
                << word << " in: " << error.what();
          }
        }
      };
      refused([&] { store.plan_prune(keep_last(1)); });
      refused([&] { store.prune(keep_last(1)); });
      EXPECT_EQ(names(), before);
    }
  }
}

// The way out that the error names.
TEST_F(PruneTest, GoesOnOnceWhatCannotBeReadWasRemoved) {
  Store store = Store::create(path());
  ckp::Run run = store.create_run(run_options("cnn"));
  save(run, 1);
  save(run, 2);
  const auto damaged = run.save(SmallState(3).dict(), {.epoch = 3, .step = 300}).wait();
  std::filesystem::resize_file(damaged.path, 300);
  expect_error(ErrorCode::corrupt, "cannot be read", [&] { store.prune(keep_last(1)); });
  store.remove_checkpoints(std::span(&damaged.checkpoint.id, 1));
  EXPECT_GT(store.prune(keep_last(1)).bytes_freed, 0u);
  EXPECT_EQ(epochs(store.checkpoints(run.record().id)), (std::vector<std::int64_t>{2}));
}

// It may need what was committed before it, and nothing that came later.
TEST_F(PruneTest, WhatCannotBeReadInAnotherRunKeepsWhatIsOlderThanIt) {
  Store store = Store::create(path());
  ckp::Run run = store.create_run(run_options("cnn"));
  save(run, 1);
  ckp::Run other = store.create_run(run_options("other"));
  const auto damaged = other.save(SmallState(9).dict(), {.epoch = 9, .step = 900}).wait().path;
  save(run, 2);
  save(run, 3);
  std::filesystem::resize_file(damaged, 300);
  const std::vector<std::string> cnn{"cnn"};
  const PrunePlan plan = store.prune(keep_last(1), cnn);
  ASSERT_EQ(plan.entries.size(), 3u);
  EXPECT_EQ(plan.entries[0].bytes_freed, 0u);
  EXPECT_NE(plan.entries[0].held.find(damaged.string() + " cannot be read"), std::string::npos);
  EXPECT_NE(plan.entries[0].held.find("ckptool repair"), std::string::npos);
  EXPECT_GT(plan.entries[1].bytes_freed, 0u);
  EXPECT_EQ(plan.entries[1].held, "");
  EXPECT_TRUE(std::filesystem::exists(damaged));
  // A prune of all runs is one of that run, too.
  save(run, 4);
  expect_error(ErrorCode::corrupt, "run other", [&] { store.prune(keep_last(1)); });
  // Nobody knows what a newer version refers to.
  std::filesystem::copy_file(
      std::filesystem::path(CKP_SOURCE_DIR) / "tests/golden/v1" / "newer-version.ckp", damaged,
      std::filesystem::copy_options::overwrite_existing);
  const PrunePlan beside_newer = store.prune(keep_last(1), cnn);
  EXPECT_EQ(beside_newer.bytes_freed, 0u);
  EXPECT_NE(beside_newer.entries[0].held.find("newer version"), std::string::npos);
  // When it is gone, what was kept for it goes.
  std::filesystem::remove(damaged);
  EXPECT_EQ(store.prune(keep_last(1), cnn).garbage_files, 2u);
}

// What a damaged checkpoint shares with another run is there when its file is whole again.
TEST_F(PruneTest, WhatCannotBeReadLoadsWhenItsFileIsBack) {
  Store store = Store::create(path());
  ckp::Run run = store.create_run(run_options("cnn"));
  save(run, 1);
  ckp::Run other = store.create_run(run_options("other"));
  const SmallState same(1);
  const SaveReport shares = other.save(same.dict(), {.epoch = 1, .step = 100}).wait();
  save(run, 2);
  const auto whole = directory_ / "whole.ckp";
  std::filesystem::copy_file(shares.path, whole);
  std::filesystem::resize_file(shares.path, 300);
  store.prune(keep_last(1), std::vector<std::string>{"cnn"});
  std::filesystem::copy_file(whole, shares.path, std::filesystem::copy_options::overwrite_existing);
  EXPECT_TRUE(same.is_in(store.open_checkpoint(shares.checkpoint)));
}

// Random saves (some equal), prunes and removals against what must still be there.
TEST_F(PruneTest, WhatIsKeptAlwaysLoads) {
  std::mt19937_64 random(test::seed(5));
  Store store = Store::create(path());
  std::vector<ckp::Run> runs;
  runs.push_back(store.create_run(run_options("a")));
  runs.push_back(store.create_run(run_options("b")));
  std::map<Uuid, int> version_of;
  for (int i = 0; i < 120; ++i) {
    ckp::Run& run = runs[random() % runs.size()];
    const int version = static_cast<int>(random() % 6);
    if (random() % 4 != 0) {
      const SmallState state(version, 20'000);
      const auto saved = run.save(state.dict(), {.epoch = i, .step = i}).wait().checkpoint;
      version_of[saved.id] = version;
    } else {
      const std::uint64_t before = bytes_on_disk();
      const PrunePlan plan = store.prune(keep_last(static_cast<std::uint32_t>(1 + random() % 3)));
      EXPECT_EQ(before - bytes_on_disk(), plan.bytes_freed);
    }
    for (const RunRecord& record : store.runs()) {
      for (const CheckpointRecord& checkpoint : store.checkpoints(record.id)) {
        const SmallState state(version_of.at(checkpoint.id), 20'000);
        ASSERT_TRUE(state.is_in(store.open_checkpoint(checkpoint)));
      }
    }
  }
  EXPECT_TRUE(store.verify({.level = VerifyLevel::full}).clean());
  // What the index says is what a rebuild says.
  const auto before = store.checkpoints(runs[0].record().id);
  store.rebuild_index();
  EXPECT_EQ(store.checkpoints(runs[0].record().id), before);
}

}  // namespace
}  // namespace ckp
