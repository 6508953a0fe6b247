// The order of a commit, and who may not commit. What failures leave behind: tests/faults.
#include <algorithm>

#include "store/store_lock.h"
#include "store_fixture.h"
#include "support/faulty_file_system.h"

namespace ckp {
namespace {

using test::expect_error;
using test::FaultyFileSystem;
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
  {
    StoreLock lock(*posix_file_system(), StoreLayout{path()}, store.uuid(), 1000);
    lock.begin(run.record().directory);  // A4
    lock.end_without_index();
  }
  expect_error(ErrorCode::locked, "attempt 2", [&] { save(run, 2); });
  EXPECT_EQ(store.checkpoints(run.record().id).size(), 1u);
}

// What a save costs must not grow with the number of checkpoints: a directory is listed only after
// somebody else has changed the store.
TEST_F(CommitTest, ASaveListsNoDirectoryWhileTheProcessIsAlone) {
  const auto fs = faulty();
  StoreOptions options;
  options.file_system = fs;
  Store store = Store::create(path(), options);
  ckp::Run run = store.create_run(run_options("cnn"));
  ckp::Run other = store.create_run(run_options("mlp"));
  save(run, 1);
  save(run, 2);
  const auto listings_of_a_save = [&](int epoch) {
    fs->clear_log();
    save(run, epoch);
    const auto log = fs->log();
    return std::count_if(log.begin(), log.end(),
                         [](const std::string& line) { return line.starts_with("list "); });
  };
  EXPECT_EQ(listings_of_a_save(3), 0);
  save(other, 1);
  EXPECT_EQ(listings_of_a_save(4), 1);
  EXPECT_EQ(listings_of_a_save(5), 0);
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
