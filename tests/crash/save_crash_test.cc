// Crashes while a store is made, and while one and several processes save into it.
#include "crash_fixture.h"
#include "support/held_file_system.h"

namespace ckp {
namespace {

TEST_F(CrashTest, FirstSave) {
  record();
  Store store = create_store();
  ckp::Run run = create_run(store, "cnn");
  save(run, 1);
  explore("first save", {.states_per_position = 100});
}

TEST_F(CrashTest, SaveWithDedup) {
  record();
  Store store = create_store();
  ckp::Run run = create_run(store, "cnn");
  save(run, 1);
  const std::size_t first = now();
  EXPECT_GT(save(run, 2).chunks_shared, 0u);
  save(run, 3);
  explore("save with dedup", {.first = first, .states_per_position = 100});
}

// Each save of one run is written and committed in the middle of one of another's: while it has a
// temporary pack, while it has written it, and when it is about to commit.
TEST_F(CrashTest, TwoWriters) {
  record();
  Store store = create_store();
  ckp::Run first_run = create_run(store, "first");
  save(first_run, 1);
  Store other = open_store();
  ckp::Run second_run = create_run(other, "second");
  const std::size_t first = now();
  int version = 1;
  for (const char* at : {"write", "sync"}) {
    disk_->before = [&](const std::string& operation) {
      if (!operation.starts_with(at) || !operation.ends_with(".tmp")) return;
      disk_->before = {};
      EXPECT_GT(save(second_run, version).chunks_shared, 0u);
    };
    save(first_run, ++version);
    EXPECT_FALSE(disk_->before) << "nothing came between";
  }
  explore("save by two writers", {.first = first, .states_per_position = 60});
}

// Small saves that queue up behind another one have one commit point.
TEST_F(CrashTest, GroupOfSaves) {
  record();
  const auto held = std::make_shared<test::HeldFileSystem>(disk_);
  StoreOptions through_it = options();
  through_it.file_system = held;
  create_store();
  Store store = Store::open(root_ / "store", through_it);
  ckp::Run run = create_run(store, "cnn");
  save(run, 1);
  const std::size_t first = now();
  held->hold();
  std::vector<PendingSave> saves;
  for (const int version : {2, 3, 4, 5}) {
    history_.saving("cnn", version, now());
    saves.push_back(
        run.save(test::CrashModel(version).dict(), test::CrashModel::save_options(version)));
    if (version == 2) held->wait_for(saves.back());
  }
  held->let_go();
  for (PendingSave& save : saves) save.wait();
  for (const int version : {2, 3, 4, 5}) history_.saved("cnn", version, now());
  explore("group of saves", {.first = first, .states_per_position = 60});
}

// A save that refers to chunks of a checkpoint which is pruned while it is written.
TEST_F(CrashTest, SaveAcrossAPrune) {
  record();
  Store store = create_store();
  ckp::Run run = create_run(store, "cnn");
  save(run, 1);
  Store other = open_store();
  const std::size_t first = now();
  disk_->before = [&](const std::string& operation) {
    if (!operation.starts_with("sync") || !operation.ends_with(".tmp")) return;
    disk_->before = {};
    remove(other, "cnn", {1});
  };
  EXPECT_GT(save(run, 2).chunks_shared, 0u);
  save(run, 3);
  prune(store, 1);
  explore("save across a prune", {.first = first, .states_per_position = 40});
}

TEST_F(CrashTest, ResumeAndSave) {
  record();
  Store store = create_store();
  {
    ckp::Run run = create_run(store, "cnn");
    save(run, 1);
  }
  const std::size_t first = now();
  {
    ckp::Run run = store.resume_run("cnn");
    save(run, 2);
    run.finish(RunStatus::completed);
  }
  ckp::Run run = store.resume_run("cnn");
  explore("resume and save", {.first = first, .states_per_position = 60});
}

// Points that are logged between saves are not synced before the next one.
TEST_F(CrashTest, JournalAppends) {
  record();
  Store store = create_store();
  ckp::Run run = create_run(store, "cnn");
  save(run, 1);
  const std::size_t first = now();
  for (int step = 1; step <= 40; ++step) {
    run.log(1, step, {{"train/loss", 1.0 / step}, {"train/rate", 0.1}});
    if (step == 30) save(run, 2);
  }
  explore("journal appends", {.first = first, .states_per_position = 24});
}

}  // namespace
}  // namespace ckp
