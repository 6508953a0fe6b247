// The order of a commit, and what a failure at any point of it leaves behind.
#include <algorithm>

#include "store/store_lock.h"
#include "store_fixture.h"
#include "support/faulty_file_system.h"

namespace ckp {
namespace {

using test::expect_error;
using test::Fault;
using test::FaultyFileSystem;
using test::SmallState;
using test::StoreTest;

class CommitTest : public StoreTest {
 protected:
  std::shared_ptr<FaultyFileSystem> faulty() {
    return std::make_shared<FaultyFileSystem>(posix_file_system(), path());
  }
};

std::size_t position(const std::vector<std::string>& log, const std::string& start,
                     const std::string& part) {
  for (std::size_t i = 0; i < log.size(); ++i) {
    if (log[i].starts_with(start) && log[i].find(part) != std::string::npos) return i;
  }
  ADD_FAILURE() << "no '" << start << "..." << part << "' in the log";
  return 0;
}

// S4, C5, C6: nothing is renamed before it is durable, and nothing is done before the rename is.
TEST_F(CommitTest, ThePackIsSyncedThenRenamedThenTheDirectoryIsSynced) {
  const auto fs = faulty();
  StoreOptions options;
  options.file_system = fs;
  Store store = Store::create(path(), options);
  ckp::Run run = store.create_run(run_options("cnn"));
  save(run, 1);  // makes the index
  fs->clear_log();
  save(run, 2);
  const auto log = fs->log();
  const std::size_t created = position(log, "create_new", ".tmp");
  const std::size_t synced = position(log, "sync ", ".tmp");
  const std::size_t begun = position(log, "write lock 0", "");
  const std::size_t renamed = position(log, "rename", ".tmp -> ");
  const std::size_t directory = position(log, "sync_directory", run.record().directory);
  EXPECT_LT(created, synced);
  EXPECT_LT(synced, begun);
  EXPECT_LT(begun, renamed);
  EXPECT_LT(renamed, directory);
  for (std::size_t i = synced + 1; i < log.size(); ++i) {
    EXPECT_FALSE(log[i].starts_with("write") && log[i].find(".tmp") != std::string::npos)
        << "written after the sync: " << log[i];
  }
}

// Operation k fails, once or for ever, for every k until an operation k no longer exists: the save
// says so, the checkpoint before it is intact, the store reopens without repair and takes the next
// save. Each k has an attempt of its own: a journal that failed once refuses all that follows.
class CommitFaultTest : public CommitTest,
                        public ::testing::WithParamInterface<std::pair<ErrorCode, bool>> {
 protected:
  // A save that returned is there; one that failed may be, when even withdrawing it failed, but
  // then it is whole.
  void expect_whole(const Uuid& run, std::int64_t epoch, bool saved) const {
    const Store reopened = Store::open(path());
    const auto all = reopened.checkpoints(run);
    ASSERT_FALSE(all.empty());
    const CheckpointRecord& newest = all.back();
    EXPECT_TRUE(!saved || newest.epoch == epoch);
    ASSERT_TRUE(SmallState(static_cast<int>(newest.epoch)).is_in(reopened.open_checkpoint(newest)));
  }
};

TEST_P(CommitFaultTest, NothingIsLostWhateverFails) {
  const auto [code, forever] = GetParam();
  const auto fs = faulty();
  StoreOptions options;
  options.file_system = fs;
  Store store = Store::create(path(), options);
  {
    ckp::Run run = store.create_run(run_options("cnn"));
    save(run, 1);
  }
  bool saved = false;
  std::size_t failed = 0, k = 1;
  for (bool done = false; !done; ++k) {
    SCOPED_TRACE("operation " + std::to_string(k));
    ASSERT_LT(k, 2000u) << "the save never gets through";
    ckp::Run run = store.resume_run("cnn");
    fs->clear_log();
    fs->plan({.at = k, .code = code, .forever = forever, .torn_write = true});
    saved = false;
    try {
      save(run, static_cast<int>(k) + 1);
      saved = true;
    } catch (const Error& error) {
      ++failed;
      EXPECT_FALSE(std::string(error.what()).empty());
    }
    done = fs->failures() == 0;
    const std::size_t operations = fs->operations();
    fs->clear();
    ASSERT_NO_FATAL_FAILURE(expect_whole(run.record().id, static_cast<std::int64_t>(k) + 1, saved));
    if (!done) continue;
    // The last round is a whole save: every operation of it has failed in an earlier round.
    const auto log = fs->log();
    EXPECT_EQ(log.size(), operations);
    EXPECT_LT(position(log, "rename", ".tmp -> "), k - 1);
    EXPECT_LT(position(log, "sync_directory", run.record().directory), k - 1);
  }
  ASSERT_TRUE(saved);
  EXPECT_GT(failed, 15u);
  const VerifyReport report = Store::open(path()).verify({.level = VerifyLevel::full});
  for (const Finding& finding : report.findings) ADD_FAILURE() << finding.message;
  std::cout << k - 1 << " operations, " << failed << " failed saves\n";
}

INSTANTIATE_TEST_SUITE_P(Faults, CommitFaultTest,
                         ::testing::Values(std::pair{ErrorCode::io, false},
                                           std::pair{ErrorCode::io, true},
                                           std::pair{ErrorCode::out_of_space, false},
                                           std::pair{ErrorCode::out_of_space, true}),
                         [](const auto& parameter) {
                           return std::string(to_string(parameter.param.first)) +
                                  (parameter.param.second ? "_for_ever" : "_once");
                         });

// H12: a process whose run was taken over can no longer save into it.
TEST_F(CommitTest, AnOldAttemptCannotCommit) {
  Store store = Store::create(path());
  ckp::Run run = store.create_run(run_options("cnn"));
  save(run, 1);
  JournalName newer;
  newer.attempt = 2;
  newer.journal = *Uuid::from_hex("0123456789abcdef0123456789abcdef");
  test::FaultyFileSystem fs;
  fs.open(path() / "runs" / run.record().directory / to_file_name(newer), OpenMode::create_new);
  expect_error(ErrorCode::locked, "attempt 2", [&] { save(run, 2); });
  EXPECT_EQ(store.checkpoints(run.record().id).size(), 1u);
}

TEST_F(CommitTest, AHeldStoreIsReportedWithItsHolder) {
  StoreOptions options;
  options.lock_timeout_ms = 50;
  Store store = Store::create(path(), options);
  ckp::Run run = store.create_run(run_options("cnn"));
  const StoreLock held(*posix_file_system(), StoreLayout{path()}, store.uuid(), 1000);
  expect_error(ErrorCode::locked, "process", [&] { save(run, 1); });
}

}  // namespace
}  // namespace ckp
