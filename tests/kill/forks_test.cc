// Data loaders: processes that are forked from a trainer at any moment, end at any moment, and live
// on when the trainer dies.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>

#include "engine/store_fixture.h"
#include "support/child_process.h"
#include "support/faulty_file_system.h"

namespace {
bool is_forked_loader = false;
}  // namespace

// Asked by LeakSanitizer at a program's end. In a forked child only the thread that forked is left:
// what the others refer to looks lost, and is the parent's.
extern "C" int __lsan_is_turned_off() { return is_forked_loader ? 1 : 0; }

namespace ckp {
namespace {

using test::ChildProcess;
using test::Gate;
using test::SmallState;

class ForksTest : public test::StoreTest {
 protected:
  // Calls `act` before operation `k` on the file system, counted from here on.
  void before_operation(std::uint64_t k, std::function<void()> act) {
    operations_ = 0;
    fs_->plan({.only = [this, k, act = std::move(act)](const std::string&) {
      if (++operations_ == k) act();
      return false;
    }});
  }
  Store open_hooked() {
    StoreOptions options;
    options.file_system = fs_;
    return Store::open(path(), options);
  }
  static CheckpointRecord save_small(ckp::Run& run, std::uint64_t epoch) {
    const auto number = static_cast<int>(epoch);
    const SaveOptions options{.epoch = number, .step = number, .encode = {.threads = 1}};
    return run.save(SmallState(number, 3'000).dict(), options).wait().checkpoint;
  }
  void expect_sound() const {
    const VerifyReport report = Store::open(path()).verify({.level = VerifyLevel::full});
    for (const Finding& finding : report.findings) ADD_FAILURE() << finding.message;
  }

  const std::shared_ptr<test::FaultyFileSystem> fs_ =
      std::make_shared<test::FaultyFileSystem>(posix_file_system(), path());
  std::uint64_t operations_ = 0;
};

TEST_F(ForksTest, ALoaderForkedAtAnyPointOfASaveThatExitsDisturbsNothing) {
  Store::create(path());
  Store store = open_hooked();
  ckp::Run run = store.create_run(run_options("cnn"));
  std::uint64_t k = 0;
  do {
    before_operation(++k, [] {
      std::fflush(nullptr);
      const pid_t loader = ::fork();
      if (loader == 0) {
        is_forked_loader = true;
        std::exit(0);  // with all that is done at the end of a program
      }
      int status = 0;
      ASSERT_EQ(::waitpid(loader, &status, 0), loader);
      EXPECT_EQ(status, 0);
    });
    ASSERT_NO_THROW(save_small(run, k)) << "forked before operation " << k;
    ASSERT_EQ(store.run("cnn").status, RunStatus::in_progress);
    ASSERT_LT(k, 1000u);
  } while (operations_ >= k);
  EXPECT_GT(k, 20u);
  EXPECT_EQ(store.checkpoints(run.record().id).size(), k);
  expect_sound();
}

TEST_F(ForksTest, ATrainerKilledAtAnyPointOfASaveLeavesNothingHeldThoughItsLoaderLives) {
  Store::create(path());
  {
    Store store = Store::open(path());
    ckp::Run run = store.create_run(run_options("cnn"));
    save_small(run, 1);
  }
  const Gate end;
  std::uint64_t k = 0;
  for (int status = -SIGKILL; status == -SIGKILL;) {
    ASSERT_LT(++k, 1000u);
    SCOPED_TRACE("killed before operation " + std::to_string(k));
    const Gate forked;
    ChildProcess trainer([&] {
      Store store = open_hooked();
      ckp::Run run = store.resume_run("cnn");
      before_operation(k, [&] {
        if (::fork() == 0) {
          forked.open();
          end.pass();
          ::_exit(0);
        }
        forked.pass();
        ::raise(SIGKILL);
      });
      save_small(run, k + 1);
      return 0;
    });
    status = trainer.wait();
    ASSERT_TRUE(status == 0 || status == -SIGKILL) << status;
    Store store = Store::open(path());
    ASSERT_EQ(store.run("cnn").status, RunStatus::interrupted);
    ckp::Run resumed = store.resume_run("cnn");
    ASSERT_TRUE(resumed.continued_from());
    const int newest = static_cast<int>(resumed.continued_from()->record().epoch);
    EXPECT_TRUE(SmallState(newest, 3'000).is_in(*resumed.continued_from()));
    KeepPolicy policy;
    policy.last = 2;
    store.prune(policy);
    for (const auto& file : std::filesystem::recursive_directory_iterator(path() / "runs")) {
      EXPECT_NE(file.path().extension(), ".tmp") << "a dead save's pack counts as alive";
    }
    ASSERT_FALSE(HasFailure());
  }
  for (std::uint64_t i = 0; i < k; ++i) end.open();
  EXPECT_GT(k, 20u);
  expect_sound();
}

TEST_F(ForksTest, AChildThatUsesItsParentsStoreIsTold) {
  Store store = Store::create(path());
  auto run = std::make_unique<ckp::Run>(store.create_run(run_options("cnn")));
  const CheckpointRecord saved = save(*run, 1);
  save_file(directory_ / "in.ckp", SmallState(2).dict());
  ChildProcess child([&] {
    const auto refused = [](const char* what, auto call) {
      SCOPED_TRACE(what);
      test::expect_error(ErrorCode::invalid_argument, "forked", call);
    };
    const KeepPolicy policy{.last = 1};
    refused("save", [&] { save(*run, 2); });
    refused("log", [&] { run->log(1, 1, {}); });
    refused("finish", [&] { run->finish(RunStatus::completed); });
    refused("runs", [&] { store.runs(); });
    refused("find", [&] { store.find(parse_address("cnn")); });
    refused("create_run", [&] { store.create_run(run_options("other")); });
    refused("resume_run", [&] { store.resume_run("cnn"); });
    refused("prune", [&] { store.prune(policy); });
    refused("remove", [&] { store.remove_checkpoints(std::span(&saved.id, 1)); });
    refused("import", [&] { store.import_file(directory_ / "in.ckp", {}); });
    refused("rebuild", [&] { store.rebuild_index(); });
    run.reset();  // destructors must not unlock or remove anything of the parent's
    return testing::Test::HasFailure() ? 1 : 0;
  });
  EXPECT_EQ(child.wait(), 0);
  EXPECT_EQ(store.run("cnn").status, RunStatus::in_progress);
  save(*run, 2);
  EXPECT_EQ(store.checkpoints(run->record().id).size(), 2u);
  EXPECT_EQ(store.runs().size(), 1u);
}

TEST_F(ForksTest, AChildMayOpenTheStoreAnew) {
  Store store = Store::create(path());
  ckp::Run run = store.create_run(run_options("cnn"));
  save(run, 1);
  ChildProcess child([&] {
    Store own = Store::open(path());
    if (own.checkpoints(own.run("cnn").id).size() != 1) return 1;
    ckp::Run other = own.create_run(run_options("other"));
    save(other, 1);
    return 0;
  });
  EXPECT_EQ(child.wait(), 0);
  EXPECT_EQ(store.runs().size(), 2u);
}

}  // namespace
}  // namespace ckp
