// Operation k of a prune or of the removal of a run fails, for every k: nothing that is to stay is
// lost, and the store stays sound.
#include <algorithm>

#include "ckp/query.h"
#include "store_fixture.h"
#include "support/faulty_file_system.h"

namespace ckp {
namespace {

using test::FaultyFileSystem;
using test::SmallState;
using test::StoreTest;

enum class Action { prune, remove_run };

class PruneFaultTest : public StoreTest,
                       public ::testing::WithParamInterface<std::pair<Action, bool>> {
 protected:
  // Runs "a" (three checkpoints) and "b", whose only one shares its chunks with a@2.
  Store fill(std::shared_ptr<FileSystem> fs) {
    std::filesystem::remove_all(path());
    StoreOptions options;
    options.file_system = std::move(fs);
    Store store = Store::create(path(), options);
    ckp::Run a = store.create_run(run_options("a"));
    save(a, 1);
    a.save(shared_.dict(), {.epoch = 2, .step = 200}).wait();
    save(a, 3);
    ckp::Run b = store.create_run(run_options("b"));
    b.save(shared_.dict(), {.epoch = 2, .step = 200}).wait();
    return store;
  }
  static void act(Store& store, Action action) {
    KeepPolicy policy;
    policy.last = 1;
    if (action == Action::prune) {
      store.prune(policy);
    } else {
      store.remove_run("a");
    }
  }
  void expect_sound(Action action, bool succeeded) const {
    const Store store = Store::open(path());
    const VerifyReport report = store.verify({.level = VerifyLevel::full});
    for (const Finding& finding : report.findings) ADD_FAILURE() << finding.message;
    EXPECT_TRUE(shared_.is_in(store.open_checkpoint(store.find(parse_address("b@2")))));
    const auto runs = store.runs();
    const bool has_a =
        std::any_of(runs.begin(), runs.end(), [](const RunRecord& run) { return run.name == "a"; });
    if (action == Action::prune) {
      ASSERT_TRUE(has_a);
      const CheckpointRecord newest = store.find(parse_address("a"));
      EXPECT_EQ(newest.epoch, 3);
      EXPECT_TRUE(SmallState(3).is_in(store.open_checkpoint(newest)));
      EXPECT_TRUE(!succeeded || store.checkpoints(store.run("a").id).size() == 1);
    } else if (succeeded) {
      EXPECT_FALSE(has_a);
    }
  }

  const SmallState shared_{7, 20'000};
};

TEST_P(PruneFaultTest, NothingElseIsLostWhateverFails) {
  const auto [action, forever] = GetParam();
  bool succeeded = false;
  std::size_t failed = 0, k = 1;
  for (bool done = false; !done; ++k) {
    SCOPED_TRACE("operation " + std::to_string(k));
    ASSERT_LT(k, 2000u) << "it never gets through";
    const auto fs = std::make_shared<FaultyFileSystem>(posix_file_system(), path());
    Store store = fill(fs);
    fs->plan({.at = k, .forever = forever, .torn_write = true});
    succeeded = false;
    try {
      act(store, action);
      succeeded = true;
    } catch (const Error&) {
      ++failed;
    }
    done = fs->failures() == 0;
    fs->clear();
    ASSERT_NO_FATAL_FAILURE(expect_sound(action, succeeded));
    // What was cut short is finished by the same call again.
    if (!succeeded && action == Action::prune) {
      act(store, action);
      ASSERT_NO_FATAL_FAILURE(expect_sound(action, true));
    }
  }
  ASSERT_TRUE(succeeded);
  EXPECT_GT(failed, 15u);
  std::cout << k - 1 << " operations, " << failed << " failures\n";
}

INSTANTIATE_TEST_SUITE_P(
    Faults, PruneFaultTest,
    ::testing::Values(std::pair{Action::prune, false}, std::pair{Action::prune, true},
                      std::pair{Action::remove_run, false}, std::pair{Action::remove_run, true}),
    [](const auto& parameter) {
      return std::string(parameter.param.first == Action::prune ? "prune" : "remove_run") +
             (parameter.param.second ? "_for_ever" : "_once");
    });

}  // namespace
}  // namespace ckp
