// The order oracle itself: the right order passes, and each wrong one is named.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "ckp/store.h"
#include "io/posix_options.h"
#include "store/layout.h"
#include "store/store_lock.h"
#include "support/order_oracle.h"
#include "support/temporary_directory.h"

namespace ckp {
namespace {

// Acts as the engine would, one operation at a time, in a store with one run. The file system
// below is one that nobody else listens to.
class OrderTest : public ::testing::Test {
 protected:
  OrderTest() {
    fs_ = test::OrderOracle::listen(
        std::make_shared<test::OrderOracle>(
            [this](const std::string& violation) { violations_.push_back(violation); }),
        posix_file_system(PosixOptions{}));
    make_durable_directory(root_);
    make_durable_directory(root_ / "runs");
    make_durable_directory(run_);
    fs_->open(root_ / "lock", OpenMode::create)->close();
    fs_->sync_directory(root_);
  }

  void make_durable_directory(const std::filesystem::path& path) {
    fs_->make_directory(path);
    fs_->sync_directory(path.parent_path());
  }
  StoreLock lock() { return {*fs_, StoreLayout{root_}, store_, 1000}; }
  void end(StoreLock& lock) { lock.end({}); }

  std::filesystem::path path(PackState state, std::uint64_t number = 1) const {
    PackName name;
    name.state = state;
    name.uuid.bytes[15] = static_cast<std::byte>(number);
    name.commit = number;
    name.retired = state == PackState::retired ? number : 0;
    return run_ / to_file_name(name);
  }
  std::filesystem::path trash_path() const {
    PackName name = *parse_pack_name(path(PackState::retired).filename().string());
    name.trash_until = 5;
    return run_ / to_file_name(name);
  }
  // S1 to S4.
  void write_pack(std::uint64_t number = 1) {
    const auto file = fs_->open(path(PackState::temporary, number), OpenMode::create_new);
    file->write_at(0, std::vector<std::byte>(10));
    file->sync();
  }
  // C4 to C8.
  void commit(StoreLock& lock, std::uint64_t number = 1) {
    lock.begin(run_.filename().string());
    move(PackState::temporary, PackState::live, number);
    fs_->sync_directory(run_);
    end(lock);
  }
  void move(PackState from, PackState to, std::uint64_t number = 1) {
    fs_->rename(path(from, number), path(to, number));
  }
  void make_checkpoint(std::uint64_t number = 1) {
    StoreLock held = lock();
    write_pack(number);
    commit(held, number);
  }

  // The last thing done broke this rule and no other.
  void expect(const std::string& rule) {
    ASSERT_FALSE(violations_.empty()) << rule << " is not reported";
    for (const std::string& violation : violations_) {
      EXPECT_TRUE(violation.starts_with(rule + ":")) << violation;
    }
    violations_.clear();
  }
  void expect_nothing() {
    for (const std::string& violation : violations_) ADD_FAILURE() << violation;
  }

  test::TemporaryDirectory place_;
  const std::filesystem::path root_ = place_ / "store";
  const std::filesystem::path run_ =
      root_ / "runs" / run_directory_name("cnn", *Uuid::from_hex(std::string(32, '7')));
  const Uuid store_ = *Uuid::from_hex(std::string(32, '5'));
  std::vector<std::string> violations_;
  std::shared_ptr<FileSystem> fs_;
};

TEST_F(OrderTest, TheRightOrderPasses) {
  StoreOptions options;
  options.file_system = fs_;
  Store store = Store::create(place_ / "real", options);
  ckp::Run run = store.create_run({.name = "cnn"});
  std::vector<float> values(100);
  StateDict state;
  state.add("weight", contiguous_view(DType::float32, {100}, values.data()));
  for (const std::int64_t epoch : {1, 2, 3}) run.save(state, {.epoch = epoch}).wait();
  store.runs();
  KeepPolicy policy;
  policy.last = 1;
  store.prune(policy, {}, {.trash_ns = 1'000'000'000'000});
  const Uuid trashed = store.trash().front().checkpoint.id;
  store.undelete({&trashed, 1});
  store.prune(policy, {}, {.empty_trash = true});
  store.rebuild_index();
  run.save(state, {.epoch = 4}).wait();
  run.finish(RunStatus::completed);
  EXPECT_TRUE(store.verify().clean());
  { ckp::Run gone = std::move(run); }
  store.remove_run("cnn");
  make_checkpoint();
  expect_nothing();
}

TEST_F(OrderTest, S1_ATemporaryPackWithoutTheLock) {
  write_pack();
  expect("S1");
}

TEST_F(OrderTest, S1_APackUnderItsLiveName) {
  fs_->open(path(PackState::live), OpenMode::create_new);
  expect("S1");
}

TEST_F(OrderTest, S4_RenamedWithoutASync) {
  StoreLock held = lock();
  fs_->open(path(PackState::temporary), OpenMode::create_new)
      ->write_at(0, std::vector<std::byte>(10));
  commit(held);
  expect("S4");
}

TEST_F(OrderTest, S4_WrittenAfterTheSync) {
  StoreLock held = lock();
  write_pack();
  fs_->open(path(PackState::temporary), OpenMode::read_write)
      ->write_at(0, std::vector<std::byte>(10));
  commit(held);
  expect("S4");
}

TEST_F(OrderTest, C1_CommittedWithoutTheLock) {
  {
    const StoreLock held = lock();
    write_pack();
  }
  move(PackState::temporary, PackState::live);
  expect("C1");
}

TEST_F(OrderTest, L1_TheStateBlockWithoutTheLock) {
  format::StateBlock block;
  fs_->open(root_ / "lock", OpenMode::read_write)->write_at(0, encode_state_block(block));
  expect("L1");
}

TEST_F(OrderTest, C4_RenamedBeforeItIsAnnounced) {
  StoreLock held = lock();
  write_pack();
  move(PackState::temporary, PackState::live);
  expect("C4");
}

TEST_F(OrderTest, C5_ARenameThatMayReplace) {
  StoreLock held = lock();
  write_pack();
  held.begin(all_runs);
  fs_->rename(path(PackState::temporary), path(PackState::live), true);
  expect("C5");
}

TEST_F(OrderTest, C6_EndedBeforeTheDirectoryIsSynced) {
  StoreLock held = lock();
  write_pack();
  held.begin(all_runs);
  move(PackState::temporary, PackState::live);
  end(held);
  expect("C6");
}

TEST_F(OrderTest, C6_AnotherCommitBeforeTheDirectoryIsSynced) {
  StoreLock held = lock();
  write_pack();
  held.begin(all_runs);
  move(PackState::temporary, PackState::live);
  held.begin(all_runs);
  expect("C6");
}

TEST_F(OrderTest, C6_AParentIsNotDurable) {
  make_checkpoint();  // otherwise L2 syncs everything
  const auto other = run_.parent_path() / run_directory_name("new", store_);
  fs_->make_directory(other);
  StoreLock held = lock();
  const auto from = other / path(PackState::temporary).filename();
  fs_->open(from, OpenMode::create_new)->sync();
  held.begin(all_runs);
  fs_->rename(from, other / path(PackState::live).filename());
  expect("C6");
}

TEST_F(OrderTest, C7_TheIndexBeforeTheSync) {
  StoreLock held = lock();
  write_pack();
  held.begin(all_runs);
  move(PackState::temporary, PackState::live);
  fs_->open(root_ / "lock", OpenMode::create)
      ->lock(lock_byte::index_data, LockKind::exclusive, true);
  expect("C7");
}

TEST_F(OrderTest, C7_TheIndexBeforeTheMarksAreDurable) {
  StoreLock held = lock();
  held.begin(all_runs);
  fs_->open(root_ / "marks.tmp", OpenMode::create_new)->sync();
  fs_->rename(root_ / "marks.tmp", root_ / "marks");
  fs_->open(root_ / "lock", OpenMode::create)
      ->lock(lock_byte::index_data, LockKind::exclusive, true);
  expect("C7");
}

TEST_F(OrderTest, C7_TheIndexBeforeTheRename) {
  StoreLock held = lock();
  write_pack();
  held.begin(all_runs);
  fs_->open(root_ / "lock", OpenMode::create)
      ->lock(lock_byte::index_data, LockKind::exclusive, true);
  move(PackState::temporary, PackState::live);
  expect("C7");
}

TEST_F(OrderTest, TheIndexLockBeforeTheStoreLock) {
  const auto index = fs_->open(root_ / "lock", OpenMode::create);
  index->lock(lock_byte::index_data, LockKind::shared, true);
  const StoreLock held = lock();
  expect("order of locks");
}

// As a process that was killed between C5 and C6 leaves it, and another that does not care.
TEST_F(OrderTest, L2_BuildingOnWhatAnotherLeft) {
  {
    StoreLock killed = lock();
    write_pack();
    killed.begin(run_.filename().string());
    move(PackState::temporary, PackState::live);
  }
  {
    const StoreLock held = lock();
    write_pack(2);
    expect_nothing();
  }
  const auto careless = fs_->open(root_ / "lock", OpenMode::create);
  careless->lock(lock_byte::store, LockKind::exclusive, true);
  write_pack(3);
  expect("L2");
}

TEST_F(OrderTest, I5_ANumberThatWasGivenBefore) {
  make_checkpoint();
  const auto file = fs_->open(root_ / "lock", OpenMode::create);
  file->lock(lock_byte::store, LockKind::exclusive, true);
  format::StateBlock block;
  block.store = store_;
  block.begin = 1;
  file->write_at(0, encode_state_block(block));
  expect("I5");
}

TEST_F(OrderTest, R2_RetiredBeforeItIsAnnounced) {
  make_checkpoint();
  const StoreLock held = lock();
  move(PackState::live, PackState::retired);
  expect("R2");
}

TEST_F(OrderTest, T1_ATrashOfWhichSTOREDoesNotKnow) {
  make_checkpoint();
  StoreLock held = lock();
  held.begin(all_runs);
  fs_->rename(path(PackState::live), trash_path());
  expect("T1");
}

TEST_F(OrderTest, T6_BackWithoutHavingBeenInTheTrash) {
  make_checkpoint();
  StoreLock held = lock();
  held.begin(all_runs);
  move(PackState::live, PackState::retired);
  move(PackState::retired, PackState::live);
  expect("T6");
}

TEST_F(OrderTest, R2_DeadInTheTrash) {
  make_checkpoint();
  StoreLock held = lock();
  held.begin(all_runs);
  fs_->rename(path(PackState::live), trash_path());
  violations_.clear();
  fs_->sync_directory(run_);
  fs_->rename(trash_path(), path(PackState::dead));
  expect("R2");
}

TEST_F(OrderTest, R2_DeadWithoutBeingRetired) {
  make_checkpoint();
  StoreLock held = lock();
  held.begin(all_runs);
  move(PackState::live, PackState::dead);
  expect("R2");
}

TEST_F(OrderTest, R2_ALiveCheckpointIsUnlinked) {
  make_checkpoint();
  const StoreLock held = lock();
  fs_->remove(path(PackState::live));
  expect("R2");
}

TEST_F(OrderTest, R4_DeadBeforeTheRetiringIsDurable) {
  make_checkpoint();
  StoreLock held = lock();
  held.begin(all_runs);
  move(PackState::live, PackState::retired);
  move(PackState::retired, PackState::dead);
  expect("R4");
}

TEST_F(OrderTest, R4_ARetiredCheckpointIsUnlinked) {
  make_checkpoint();
  StoreLock held = lock();
  held.begin(all_runs);
  move(PackState::live, PackState::retired);
  fs_->sync_directory(run_);
  fs_->remove(path(PackState::retired));
  expect("R4");
}

TEST_F(OrderTest, R6_UnlinkedBeforeTheDeathIsDurable) {
  make_checkpoint();
  StoreLock held = lock();
  held.begin(all_runs);
  move(PackState::live, PackState::retired);
  fs_->sync_directory(run_);
  move(PackState::retired, PackState::dead);
  expect_nothing();
  fs_->remove(path(PackState::dead));
  expect("R6");
}

TEST_F(OrderTest, R2_ARunIsTakenAwayWithItsCheckpoints) {
  make_checkpoint();
  StoreLock held = lock();
  held.begin(all_runs);
  auto dead = run_;
  dead += ".dead";
  fs_->rename(run_, dead);
  expect("R2");
}

TEST_F(OrderTest, R6_ARunIsUnlinkedBeforeItsRemovalIsDurable) {
  make_checkpoint();
  StoreLock held = lock();
  held.begin(all_runs);
  move(PackState::live, PackState::retired);
  fs_->sync_directory(run_);
  auto dead = run_;
  dead += ".dead";
  fs_->rename(run_, dead);
  expect_nothing();
  fs_->remove(dead / path(PackState::retired).filename());
  expect("R6");
}

TEST_F(OrderTest, A1_ARunIsNamedBeforeItIsDurable) {
  StoreLock held = lock();
  const auto run = run_.parent_path() / run_directory_name("new", store_);
  auto making = run;
  making += ".new";
  fs_->make_directory(making);
  fs_->open(making / "journal", OpenMode::create_new)->write_at(0, std::vector<std::byte>(10));
  fs_->sync_directory(making);
  held.begin(all_runs);
  fs_->rename(making, run);
  expect("A1");
}

TEST_F(OrderTest, A1_ARunIsNamedBeforeItsDirectoryIsSynced) {
  StoreLock held = lock();
  const auto run = run_.parent_path() / run_directory_name("new", store_);
  auto making = run;
  making += ".new";
  fs_->make_directory(making);
  fs_->open(making / "journal", OpenMode::create_new)->sync();
  held.begin(all_runs);
  fs_->rename(making, run);
  expect("A1");
}

TEST_F(OrderTest, N2_AStoreBeforeItsParts) {
  const auto root = place_ / "new";
  make_durable_directory(root);
  fs_->make_directory(root / "runs");
  fs_->open(root / "STORE.tmp", OpenMode::create_new)->sync();
  fs_->rename(root / "STORE.tmp", root / "STORE");
  expect("N2");
}

TEST_F(OrderTest, M1_MarksWithoutTheLock) {
  fs_->open(root_ / "marks.tmp", OpenMode::create_new)->sync();
  fs_->rename(root_ / "marks.tmp", root_ / "marks");
  expect("M1");
}

TEST_F(OrderTest, M2_MarksThatAreNotSynced) {
  const StoreLock held = lock();
  fs_->open(root_ / "marks.tmp", OpenMode::create_new)->write_at(0, std::vector<std::byte>(10));
  fs_->rename(root_ / "marks.tmp", root_ / "marks");
  expect("M2");
}

TEST_F(OrderTest, M3_StoreSaysSoBeforeTheMarksAreDurable) {
  const StoreLock held = lock();
  fs_->open(root_ / "marks.tmp", OpenMode::create_new)->sync();
  fs_->rename(root_ / "marks.tmp", root_ / "marks");
  fs_->open(root_ / "STORE.tmp", OpenMode::create_new)->sync();
  fs_->rename(root_ / "STORE.tmp", root_ / "STORE");
  expect("M3");
}

TEST_F(OrderTest, H3_APackMovesToAnotherDirectory) {
  make_checkpoint();
  const auto other = run_.parent_path() / run_directory_name("other", store_);
  make_durable_directory(other);
  StoreLock held = lock();
  held.begin(all_runs);
  fs_->rename(path(PackState::live), other / path(PackState::retired).filename());
  expect("H3");
}

}  // namespace
}  // namespace ckp
