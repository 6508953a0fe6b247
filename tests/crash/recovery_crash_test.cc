// Crashes of those who find the store as an earlier crash has left it.
#include "crash_fixture.h"

namespace ckp {
namespace {

class RecoveryCrashTest : public CrashTest {
 protected:
  using Work = std::function<void(Store&)>;

  // A save, a removal and another save: the crashes of this are the beginning.
  void work_once() {
    record();
    Store store = create_store();
    ckp::Run run = create_run(store, "cnn");
    save(run, 1);
    first_ = now();
    save(run, 2);
    remove(store, "cnn", {1});
    save(run, 3);
  }

  void go_on(const Work& work) {
    Store store = open_store();
    work(store);
  }
  void resume_and_save(Store& store, const std::string& name, int version) {
    ckp::Run run = store.resume_run(name);
    save(run, version);
  }

  std::size_t first_ = 0;
};

// What recovery does (resync or rebuild of the index, a new attempt, its first save, a prune) is
// stopped in its turn.
TEST_F(RecoveryCrashTest, CrashDuringRecovery) {
  work_once();
  const test::Recording before = disk_->recording();
  const test::CrashHistory history = history_;
  std::uint64_t states = 0, number = 0;
  const auto recover = [&](const test::CrashState& state) {
    if (++number % 8 != 0) return;
    record(state, test::Disk(state.files));
    history_ = history.continued(state.position);
    go_on([&](Store& store) {
      history_.settle(store);
      resume_and_save(store, "cnn", 50);
      if (number % 16 == 0) prune(store, 1);
    });
    states += use_every_state({.states_per_position = 4});
    std::filesystem::remove_all(root_);
  };
  for_each_crash_state(before, {.first = first_, .states_per_position = 6}, seed_, recover);
  expect_no_violations("crash during recovery", states);
}

// H5: a process is killed, also between a rename and the sync of its directory; others see what it
// did, build on it and commit; then the power goes.
class KillThenCutTest : public RecoveryCrashTest {
 protected:
  void cut_after_every_kill(const std::string& name, const Work& work) {
    record();
    {
      Store store = create_store();
      ckp::Run other = create_run(store, "other");
      save(other, 1);
      ckp::Run run = create_run(store, "cnn");
      first_ = now();
      save(run, 2);  // shares nothing that changes: what others share with it is its own
      remove(store, "other", {1});
    }
    const test::Recording killed = disk_->recording();
    const test::CrashHistory history = history_;
    test::Disk disk = killed.start;
    std::uint64_t states = 0;
    const auto kill = [&](const test::CrashState& state) {
      test::Disk at = killed.start;
      for (std::size_t i = 0; i < state.position; ++i) at.apply(killed.log[i]);
      record(state, std::move(at));
      history_ = history.continued(state.position);
      go_on(work);
      states += use_every_state({.states_per_position = 8, .kills = false});
      std::filesystem::remove_all(root_);
    };
    for_each_crash_state(killed, {.first = first_, .power_cuts = false}, seed_, kill);
    expect_no_violations("kill then power cut, " + name, states);
  }
};

TEST_F(KillThenCutTest, AnotherRunShares) {
  cut_after_every_kill("another run shares", [&](Store& store) {
    ckp::Run run = create_run(store, "third");
    save(run, 2);  // the very state that the killed process was saving
  });
}

TEST_F(KillThenCutTest, TheRunIsResumed) {
  cut_after_every_kill("the run is resumed",
                       [&](Store& store) { resume_and_save(store, "cnn", 3); });
}

TEST_F(KillThenCutTest, SomebodyRemoves) {
  cut_after_every_kill("somebody removes", [&](Store& store) {
    for (const CheckpointRecord& checkpoint : store.checkpoints(store.run("cnn").id)) {
      remove(store, "cnn", {static_cast<int>(checkpoint.epoch)});
    }
  });
}

// The index is rebuilt while another is trusted, and used on.
TEST_F(RecoveryCrashTest, IndexRebuild) {
  work_once();
  Store store = open_store();
  const std::size_t first = now();
  for (int version = 10; version < 14; ++version) {
    store.rebuild_index();
    resume_and_save(store, "cnn", version);
  }
  explore("index rebuild", {.first = first, .states_per_position = 20});
}

}  // namespace
}  // namespace ckp
