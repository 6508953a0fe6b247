// Crashes of whatever comes in whatever order.
#include <random>

#include "crash_fixture.h"

namespace ckp {
namespace {

class RandomCrashTest : public CrashTest {
 protected:
  using Random = std::mt19937_64;

  // So many operations of a store by one process after the other.
  void work(std::uint64_t seed, int count) {
    Random random(seed);
    history_ = {};
    version_ = 0;
    record();
    Store store = create_store();
    save_some(store, create_run(store, "run-0"), random);
    for (int i = 1; i < count; ++i) do_something(store, i, random);
  }

  void do_something(Store& store, int number, Random& random) {
    const auto runs = store.runs();
    const std::uint64_t what = runs.empty() ? 0 : random() % 20;
    if (what < 2) return save_some(store, create_run(store, fmt::format("run-{}", number)), random);
    const std::string name = runs[random() % runs.size()].name;
    if (what < 9) return save_some(store, store.resume_run(name), random);
    if (what == 9) store.rebuild_index();
    if (what == 10 || what == 11) prune(store, static_cast<std::uint32_t>(1 + random() % 3));
    if (what == 12) remove_run(store, name);
    const bool to_trash = what > 14;
    if (what > 12 && what < 18)
      remove_some(store, name, random, {.trash_ns = to_trash ? 1'000'000'000'000 : 0});
    if (what == 18) empty_trash(store);
    if (what == 19 && !store.trash().empty()) undelete(store, {random() % store.trash().size()});
  }

  void save_some(Store&, ckp::Run run, Random& random) {
    for (auto saves = 1 + random() % 3; saves > 0; --saves) {
      run.log(version_, version_, {{"loss", 0.5}});
      save(run, ++version_);
    }
    if (random() % 2 == 0) run.finish(RunStatus::completed);
  }

  void remove_some(Store& store, const std::string& name, Random& random,
                   const PruneOptions& options) {
    std::vector<int> versions;
    for (const CheckpointRecord& checkpoint : store.checkpoints(store.run(name).id)) {
      if (random() % 2 == 0) versions.push_back(static_cast<int>(checkpoint.epoch));
    }
    if (!versions.empty()) remove(store, name, versions, options);
  }

  int version_ = 0;
};

// P1.
TEST_F(RandomCrashTest, States) {
  std::uint64_t states = 0;
  for (std::uint64_t work_seed = seed_; work_seed < seed_ + 3; ++work_seed) {
    work(work_seed, 8);
    states += use_every_state({.states_per_position = 4});
    std::filesystem::remove_all(root_);
  }
  expect_no_violations("random work", states);
}

// P2: everything that was not synced is lost, and every save that had returned is there.
TEST_F(RandomCrashTest, Cuts) {
  Random random(seed_);
  const std::uint64_t wanted = test::effort(1000);
  std::uint64_t cuts = 0, saves = 0;
  while (cuts < wanted) {
    work(random(), 10);
    const test::Recording recording = disk_->recording();
    for (int i = 0; i < 50; ++i, ++cuts) {
      const std::size_t position = random() % (recording.log.size() + 1);
      const auto state = only_synced(recording, position, random());
      saves += history_.acknowledged(position);
      const auto problems = use(state);
      if (!problems.empty() && ++violations_ <= 3) report(state, problems);
    }
    std::filesystem::remove_all(root_);
  }
  EXPECT_EQ(violations_, 0u);
  test::figure("P2 cuts", fmt::format("{} cuts, {} acknowledged saves looked for, {} cuts with "
                                      "a loss",
                                      cuts, saves, violations_));
}

}  // namespace
}  // namespace ckp
