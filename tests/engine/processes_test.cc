// Several processes in one store, and processes that are killed.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <random>
#include <set>

#include "store_fixture.h"
#include "support/seed.h"

namespace ckp {
namespace {

using test::SmallState;
using test::StoreTest;

// Runs `work` in a child; its exit status is 0 when work returned, 1 when it threw.
pid_t in_child(const std::function<void()>& work) {
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  int status = 0;
  try {
    work();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "child: %s\n", error.what());
    status = 1;
  }
  ::_exit(status);
}

int exit_status(pid_t pid) {
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

class ProcessesTest : public StoreTest {};

TEST_F(ProcessesTest, SeveralTrainersSaveWhileOneListsAndPrunes) {
  Store::create(path());
  constexpr int trainers = 4, saves = 12;
  std::vector<pid_t> children;
  for (int i = 0; i < trainers; ++i) {
    children.push_back(in_child([&] {
      Store store = Store::open(path());
      ckp::Run run = store.create_run(run_options("run-" + std::to_string(i)));
      for (int epoch = 1; epoch <= saves; ++epoch) {
        // Every other state is one that all runs save: shared chunks cross runs.
        const SmallState state(epoch % 2 == 0 ? epoch : 100 * i + epoch, 20'000);
        run.save(state.dict(), {.epoch = epoch, .step = epoch}).wait();
      }
      run.finish(RunStatus::completed);
    }));
  }
  children.push_back(in_child([&] {
    Store store = Store::open(path());
    KeepPolicy policy;
    policy.last = 3;
    for (int i = 0; i < 25; ++i) {
      store.prune(policy);
      for (const RunRecord& run : store.runs()) store.checkpoints(run.id);
    }
  }));
  for (const pid_t child : children) EXPECT_EQ(exit_status(child), 0);

  Store store = Store::open(path());
  EXPECT_EQ(store.runs().size(), static_cast<std::size_t>(trainers));
  std::set<std::uint64_t> commits;
  for (const RunRecord& run : store.runs()) {
    const int i = std::stoi(run.name.substr(4));
    const auto checkpoints = store.checkpoints(run.id);
    ASSERT_FALSE(checkpoints.empty());
    EXPECT_EQ(checkpoints.back().epoch, saves);
    for (const CheckpointRecord& checkpoint : checkpoints) {
      EXPECT_TRUE(commits.insert(checkpoint.commit).second) << "a commit number given twice";
      const int epoch = static_cast<int>(checkpoint.epoch);
      const SmallState state(epoch % 2 == 0 ? epoch : 100 * i + epoch, 20'000);
      EXPECT_TRUE(state.is_in(store.open_checkpoint(checkpoint)));
    }
  }
  const VerifyReport report = store.verify({.level = VerifyLevel::full});
  for (const Finding& finding : report.findings) ADD_FAILURE() << finding.message;
}

TEST_F(ProcessesTest, TwoRunsOfOneNameAtTheSameTime) {
  Store::create(path());
  std::vector<pid_t> children;
  for (int i = 0; i < 4; ++i) {
    children.push_back(in_child([&] {
      Store store = Store::open(path());
      ckp::Run run = store.create_run(run_options("same"));
      run.save(SmallState(1, 100).dict(), {.epoch = 1, .step = 1}).wait();
    }));
  }
  int created = 0;
  for (const pid_t child : children) created += exit_status(child) == 0 ? 1 : 0;
  EXPECT_EQ(created, 1);
  EXPECT_EQ(Store::open(path()).runs().size(), 1u);
}

// The acknowledged epoch goes through a pipe: what was acknowledged before the kill must be there.
TEST_F(ProcessesTest, KilledTrainersLoseNothingThatWasAcknowledged) {
  Store::create(path());
  std::mt19937_64 random(test::seed(77));
  constexpr int kills = 40;
  std::int64_t acknowledged = 0;
  for (int kill = 0; kill < kills; ++kill) {
    int pipe[2];
    ASSERT_EQ(::pipe(pipe), 0);
    const pid_t child = in_child([&] {
      ::close(pipe[0]);
      Store store = Store::open(path());
      ckp::Run run =
          store.runs().empty() ? store.create_run(run_options("cnn")) : store.resume_run("cnn");
      std::int64_t epoch = run.continued_from() ? run.continued_from()->record().epoch : 0;
      for (;;) {
        ++epoch;
        run.save(SmallState(static_cast<int>(epoch), 20'000).dict(),
                 {.epoch = epoch, .step = epoch})
            .wait();
        if (::write(pipe[1], &epoch, sizeof epoch) != sizeof epoch) return;
      }
    });
    ::close(pipe[1]);
    // Read some acknowledgements, then strike a random while after the last.
    const auto wanted = 1 + random() % 4;
    std::int64_t epoch = 0;
    for (std::uint64_t i = 0; i < wanted; ++i) {
      ASSERT_EQ(::read(pipe[0], &epoch, sizeof epoch), static_cast<ssize_t>(sizeof epoch));
      acknowledged = epoch;
    }
    ::usleep(static_cast<useconds_t>(random() % 8000));
    ::kill(child, SIGKILL);
    EXPECT_EQ(exit_status(child), 128 + SIGKILL);
    while (::read(pipe[0], &epoch, sizeof epoch) == static_cast<ssize_t>(sizeof epoch)) {
      acknowledged = epoch;
    }
    ::close(pipe[0]);

    Store store = Store::open(path());
    const auto newest = store.find(parse_address("cnn"));
    ASSERT_GE(newest.epoch, acknowledged);
    ASSERT_TRUE(
        SmallState(static_cast<int>(newest.epoch), 20'000).is_in(store.open_checkpoint(newest)));
    EXPECT_EQ(store.run("cnn").status, RunStatus::interrupted);
  }
  Store store = Store::open(path());
  const VerifyReport report = store.verify({.level = VerifyLevel::full});
  for (const Finding& finding : report.findings) ADD_FAILURE() << finding.message;
  EXPECT_GE(store.checkpoints(store.run("cnn").id).size(), static_cast<std::size_t>(kills));
}

// H6: a data loader forked in the middle of a run neither keeps nor breaks anything.
TEST_F(ProcessesTest, AForkedChildCannotUseOrBreakTheRun) {
  Store store = Store::create(path());
  auto run = std::make_unique<ckp::Run>(store.create_run(run_options("cnn")));
  save(*run, 1);
  const pid_t child = in_child([&] {
    test::expect_error(ErrorCode::invalid_argument, "forked", [&] { save(*run, 2); });
    run.reset();  // destructors must not unlock or remove anything of the parent's
    if (::testing::Test::HasFailure()) throw std::runtime_error("expectation failed");
  });
  EXPECT_EQ(exit_status(child), 0);
  EXPECT_EQ(store.run("cnn").status, RunStatus::in_progress);
  save(*run, 2);
  EXPECT_EQ(store.checkpoints(run->record().id).size(), 2u);
}

TEST_F(ProcessesTest, ALivingChildOfADeadTrainerDoesNotHoldItsRun) {
  Store::create(path());
  int ready[2], stop[2];
  ASSERT_EQ(::pipe(ready), 0);
  ASSERT_EQ(::pipe(stop), 0);
  const pid_t trainer = in_child([&] {
    Store store = Store::open(path());
    ckp::Run run = store.create_run(run_options("cnn"));
    save(run, 1);
    if (::fork() == 0) {  // a data loader that outlives the trainer
      ::close(stop[1]);
      char byte = 0;
      (void)!::write(ready[1], "r", 1);
      (void)!::read(stop[0], &byte, 1);
      ::_exit(0);
    }
    ::pause();
  });
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  ::kill(trainer, SIGKILL);
  EXPECT_EQ(exit_status(trainer), 128 + SIGKILL);
  Store store = Store::open(path());
  EXPECT_EQ(store.run("cnn").status, RunStatus::interrupted);
  ckp::Run resumed = store.resume_run("cnn");
  EXPECT_EQ(resumed.continued_from()->record().epoch, 1);
  ::close(stop[1]);
  ::close(stop[0]);
}

}  // namespace
}  // namespace ckp
