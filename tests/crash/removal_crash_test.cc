// Crashes while checkpoints and runs are taken away and their files collected.
#include "crash_fixture.h"

namespace ckp {
namespace {

class RemovalCrashTest : public CrashTest {
 protected:
  // Two runs; every checkpoint but the first shares chunks with it.
  void make_two_runs() {
    record();
    Store store = create_store();
    ckp::Run cnn = create_run(store, "cnn");
    ckp::Run mlp = create_run(store, "mlp");
    for (int version = 1; version <= 3; ++version) {
      save(cnn, version);
      save(mlp, version);
    }
  }
};

TEST_F(RemovalCrashTest, RemoveACheckpoint) {
  make_two_runs();
  Store store = open_store();
  const std::size_t first = now();
  remove(store, "mlp", {2});     // nobody needs it
  remove(store, "cnn", {1});     // everybody does
  remove(store, "mlp", {1, 3});  // several in one go
  explore("remove a checkpoint", {.first = first, .states_per_position = 60});
}

TEST_F(RemovalCrashTest, RemoveWhatOthersReferTo) {
  make_two_runs();
  Store store = open_store();
  remove(store, "mlp", {2, 3});
  const std::size_t first = now();
  remove(store, "cnn", {1, 2, 3});  // the first holds chunks of what is left of the other run
  remove(store, "mlp", {1});        // and with it the last need of them goes
  explore("remove what others refer to", {.first = first, .states_per_position = 60});
}

TEST_F(RemovalCrashTest, RemoveARun) {
  make_two_runs();
  Store store = open_store();
  const std::size_t first = now();
  remove_run(store, "cnn");  // its first checkpoint's file stays: the other run needs it
  remove_run(store, "mlp");
  explore("remove a run", {.first = first, .states_per_position = 60});
}

TEST_F(RemovalCrashTest, Prune) {
  make_two_runs();
  Store store = open_store();
  const std::size_t first = now();
  prune(store, 2);
  prune(store, 1);
  explore("prune and collect", {.first = first, .states_per_position = 60});
}

// A file that is only kept for some of its chunks is replaced by a smaller one, time and again:
// the first checkpoint's is needed by three others, then by ever fewer.
TEST_F(RemovalCrashTest, RewriteOfAHalfDeadPack) {
  record();
  Store store = create_store();
  ckp::Run cnn = create_run(store, "cnn");
  ckp::Run mlp = create_run(store, "mlp");
  save(cnn, 1);
  save(mlp, 1);  // shares all of it
  save(cnn, 2);
  save(mlp, 2);
  const std::size_t first = now();
  const PruneOptions eager{.waste_threshold = 0.01};
  std::size_t rewrites = 0;
  rewrites += prune(store, 1, eager).rewrites.size();
  save(mlp, 3);
  rewrites += prune(store, 1, eager).rewrites.size();
  EXPECT_GT(rewrites, 0u);
  explore("rewrite of a half-dead pack", {.first = first, .states_per_position = 60});
}

// Saves of changed rows, and what they lie on goes: the packs of the table and of older patches
// are only kept for these, and replaced by smaller ones.
TEST_F(RemovalCrashTest, PatchesAndWhatTheyLieOn) {
  record();
  Store store = create_store();
  ckp::Run run = create_run(store, "cnn");
  int version = test::CrashModel::first_patched;
  save(run, version);
  const std::size_t first = now();
  EXPECT_EQ(save(run, ++version).patches_written, 1u);
  EXPECT_EQ(save(run, ++version).patches_written, 1u);
  EXPECT_EQ(prune(store, 1, {.waste_threshold = 0.01}).rewrites.size(), 2u);
  EXPECT_EQ(save(run, ++version).patches_written, 1u);
  EXPECT_FALSE(prune(store, 1, {.waste_threshold = 0.01}).rewrites.empty());
  explore("patches and what they lie on", {.first = first, .states_per_position = 40});
}

// The same with a table that is trained as a whole: the third save after the first is whole again.
TEST_F(RemovalCrashTest, DifferencesAndWhatTheyLieOn) {
  record();
  Store store = create_store();
  ckp::Run run = create_run(store, "cnn");
  int version = test::CrashModel::first_differing;
  save(run, version);
  const std::size_t first = now();
  EXPECT_EQ(save(run, ++version).differences_written, 16u);
  EXPECT_EQ(save(run, ++version).differences_written, 16u);
  EXPECT_EQ(prune(store, 1, {.waste_threshold = 0.01}).rewrites.size(), 2u);
  EXPECT_EQ(save(run, ++version).differences_written, 0u);
  EXPECT_GT(prune(store, 1, {.waste_threshold = 0.01}).bytes_freed, 0u);
  explore("differences and what they lie on", {.first = first, .states_per_position = 40});
}

constexpr std::int64_t week_ns = std::int64_t{7} * 24 * 3600 * 1'000'000'000;

// To the trash, back from it, and for good.
TEST_F(RemovalCrashTest, TrashAndUndelete) {
  make_two_runs();
  Store store = open_store();
  const std::size_t first = now();
  remove(store, "cnn", {1, 2}, {.trash_ns = week_ns});  // the other run needs the first
  remove(store, "mlp", {1}, {.trash_ns = week_ns});
  undelete(store, {0, 2});  // one of each run
  prune(store, 1, {.trash_ns = week_ns});
  undelete(store, {0});
  empty_trash(store);
  explore("trash and undelete", {.first = first, .states_per_position = 60});
}

// What only the trash needs stays while everything else goes; then it goes, too.
TEST_F(RemovalCrashTest, WhatTheTrashRefersTo) {
  make_two_runs();
  Store store = open_store();
  const PruneOptions eager{.waste_threshold = 0.01};
  const std::size_t first = now();
  remove(store, "mlp", {2}, {.trash_ns = week_ns});
  remove(store, "cnn", {1}, eager);  // rewritten to the chunks that all others share
  remove_run(store, "cnn");
  remove(store, "mlp", {1, 3}, eager);  // now only the trash needs them
  undelete(store, {0});
  remove(store, "mlp", {2}, {.trash_ns = week_ns});
  empty_trash(store);
  explore("what the trash refers to", {.first = first, .states_per_position = 60});
}

// A run takes what it has in the trash with it.
TEST_F(RemovalCrashTest, RemoveARunThatHasSomeInTheTrash) {
  make_two_runs();
  Store store = open_store();
  remove(store, "cnn", {1, 3}, {.trash_ns = week_ns});
  remove(store, "mlp", {2}, {.trash_ns = week_ns});
  const std::size_t first = now();
  remove_run(store, "cnn");
  remove_run(store, "mlp");
  explore("remove a run that has some in the trash", {.first = first, .states_per_position = 60});
}

// Half as many chunks as the table has are not there at all.
TEST_F(RemovalCrashTest, DerivedTensorsAndTheirSources) {
  record();
  Store store = create_store();
  ckp::Run run = create_run(store, "cnn");
  int version = test::CrashModel::first_derived;
  EXPECT_EQ(save(run, version).chunks_derived, 8u);
  const std::size_t first = now();
  EXPECT_EQ(save(run, ++version).chunks_derived, 8u);
  EXPECT_GT(prune(store, 1, {.waste_threshold = 0.01}).bytes_freed, 0u);
  EXPECT_EQ(save(run, ++version).chunks_derived, 8u);
  EXPECT_GT(prune(store, 1, {.waste_threshold = 0.01}).bytes_freed, 0u);
  explore("derived tensors and their sources", {.first = first, .states_per_position = 40});
}

}  // namespace
}  // namespace ckp
