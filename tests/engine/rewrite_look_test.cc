// W3: what has changed while a half-dead pack was copied, by hands that take no lock, is seen
// before the copy takes the pack's place.
#include <fstream>
#include <functional>

#include "io/host.h"
#include "rewrite_fixture.h"
#include "store/registration.h"
#include "support/hooked_file_system.h"

namespace ckp {
namespace {

using test::HookedFileSystem;
using test::Parts;
using test::RewriteTest;

namespace stdfs = std::filesystem;

class RewriteLookTest : public RewriteTest {
 protected:
  RewriteLookTest() {
    StoreOptions options;
    options.file_system = fs_;
    store_.emplace(Store::create(path(), options));
    run_.emplace(store_->create_run(run_options("cnn")));
    first_ = save_parts(*run_, {1, 1, 1, 1}, 1);
    second_ = save_parts(*run_, {1, 1, 2, 2}, 2);
    third_ = save_parts(*run_, {1, 3, 3, 3}, 3);
    stdfs::copy(live(second_), backup());
  }
  stdfs::path folder() const { return path() / "runs" / run_->record().directory; }
  stdfs::path live(const CheckpointRecord& one) const { return folder() / live_name(one); }
  stdfs::path backup() const { return directory_ / "backup.ckp"; }
  stdfs::path file_in(PackState state) const {
    for (const auto& entry : stdfs::directory_iterator(folder())) {
      const auto name = parse_pack_name(entry.path().filename().string());
      if (name && name->uuid == first_.id && name->state == state) return entry.path();
    }
    return {};
  }

  // Prunes all but the third: the second goes, the first is rewritten to the one chunk that the
  // third needs. `act` is done when its copy is written (W2) and the lock not yet taken (W3).
  PrunePlan prune_and(const std::function<void()>& act) {
    bool acted = false;
    fs_->before = [&](const std::string& operation) {
      if (acted || operation != "open " + (path() / "lock").string()) return;
      if (file_in(PackState::temporary).empty()) return;
      acted = true;
      act();
    };
    const PrunePlan done = store_->prune(keep_last(1));
    fs_->before = {};
    EXPECT_TRUE(acted);
    return done;
  }
  void expect_given_up(const PrunePlan& done, const std::string& why) const {
    ASSERT_EQ(done.notes.size(), 1u);
    EXPECT_NE(done.notes[0].find(why), std::string::npos) << done.notes[0];
    expect_not_done(done);
  }
  void expect_overtaken(const PrunePlan& done) const {
    EXPECT_TRUE(done.notes.empty()) << done.notes.front();
    expect_not_done(done);
  }
  void expect_not_done(const PrunePlan& done) const {
    EXPECT_TRUE(done.rewrites.empty());
    EXPECT_TRUE(file_in(PackState::temporary).empty());
    EXPECT_TRUE(Parts({1, 3, 3, 3}).is_in(store_->open_checkpoint(third_)));
  }
  void expect_second_loads() {
    store_->rebuild_index();
    EXPECT_TRUE(Parts({1, 1, 2, 2}).is_in(store_->open_checkpoint(second_)));
    expect_clean(*store_);
  }

  const std::shared_ptr<HookedFileSystem> fs_ = std::make_shared<HookedFileSystem>();
  std::optional<Store> store_;
  std::optional<ckp::Run> run_;
  CheckpointRecord first_, second_, third_;
};

TEST_F(RewriteLookTest, NothingHasChanged) {
  const PrunePlan done = prune_and([] {});
  EXPECT_EQ(done.rewrites.size(), 1u);
  EXPECT_TRUE(done.notes.empty());
  expect_clean(*store_);
}

TEST_F(RewriteLookTest, ACheckpointThatWasPutBackNeedsMoreOfIt) {
  const PrunePlan done = prune_and([&] { stdfs::copy(backup(), live(second_)); });
  expect_given_up(done, "needed again");
  expect_second_loads();
}

TEST_F(RewriteLookTest, ACheckpointThatWasPutBackCannotBeRead) {
  const PrunePlan done = prune_and([&] {
    stdfs::copy(backup(), live(second_));
    stdfs::resize_file(live(second_), 300);
  });
  expect_given_up(done, "needed again");
  stdfs::copy(backup(), live(second_), stdfs::copy_options::overwrite_existing);
  expect_second_loads();
}

TEST_F(RewriteLookTest, ASaveIsInProgressThatBeganBeforeItWasRetired) {
  std::unique_ptr<File> save;
  const std::uintmax_t size = stdfs::file_size(live(first_));
  const PrunePlan done = prune_and([&] {
    PackName name;
    name.state = PackState::temporary;
    name.uuid = random_uuid();
    name.began = first_.commit;
    const stdfs::path file = folder() / to_file_name(name);
    std::ofstream(file) << "half a pack";
    save = posix_file_system()->open(file, OpenMode::read_write);
    save->lock(owner_lock_byte, LockKind::exclusive, true);
  });
  expect_given_up(done, "needed again");
  EXPECT_EQ(stdfs::file_size(file_in(PackState::retired)), size);
}

TEST_F(RewriteLookTest, AnotherFileHasItsName) {
  const stdfs::path other = directory_ / "other.ckp";
  const std::uintmax_t size = stdfs::file_size(live(first_));
  const PrunePlan done = prune_and([&] {
    const stdfs::path retired = file_in(PackState::retired);
    stdfs::copy(retired, other);
    stdfs::rename(other, retired);
  });
  expect_overtaken(done);
  EXPECT_EQ(stdfs::file_size(file_in(PackState::retired)), size);
}

TEST_F(RewriteLookTest, ItIsACheckpointAgain) {
  const PrunePlan done =
      prune_and([&] { stdfs::rename(file_in(PackState::retired), live(first_)); });
  expect_overtaken(done);
  store_->rebuild_index();
  EXPECT_TRUE(Parts({1, 1, 1, 1}).is_in(store_->open_checkpoint(first_)));
  expect_clean(*store_);
}

TEST_F(RewriteLookTest, AnotherProcessFindsThatItHasBegun) {
  std::optional<PrunePlan> other;
  const PrunePlan done = prune_and([&] { other = Store::open(path()).prune(keep_last(1)); });
  EXPECT_TRUE(other->rewrites.empty());
  EXPECT_TRUE(other->notes.empty()) << other->notes.front();
  EXPECT_EQ(done.rewrites.size(), 1u);
  EXPECT_TRUE(done.notes.empty()) << done.notes.front();
  expect_clean(*store_);
}

TEST_F(RewriteLookTest, AnotherProcessThatBeganLaterIsFaster) {
  std::optional<PrunePlan> other;
  const PrunePlan done = prune_and([&] {
    save_parts(*run_, {4, 4, 4, 4}, 4);  // its copy has another name after a commit
    other = Store::open(path()).prune(keep_last(2));
  });
  EXPECT_EQ(other->rewrites.size(), 1u);
  EXPECT_TRUE(other->notes.empty()) << other->notes.front();
  expect_overtaken(done);
  expect_clean(*store_);
}

TEST_F(RewriteLookTest, TheNameOfItsCopyIsAnotherFiles) {
  const std::uintmax_t size = stdfs::file_size(live(first_));
  const PrunePlan done = prune_and([&] {
    const stdfs::path copy = file_in(PackState::temporary);
    stdfs::remove(copy);
    std::ofstream(copy) << "half a pack";
  });
  expect_overtaken(done);
  EXPECT_EQ(stdfs::file_size(file_in(PackState::retired)), size);
  expect_clean(*store_);
}

// Between the removal of what is dead and W1.
TEST_F(RewriteLookTest, TheRunIsRemovedMeanwhile) {
  run_.reset();
  bool acted = false;
  fs_->before = [&](const std::string& operation) {
    if (!operation.starts_with("remove ") || !operation.ends_with(".dead")) return;
    fs_->before = {};
    acted = true;
    Store::open(path()).remove_run("cnn");
  };
  const PrunePlan done = store_->prune(keep_last(1));
  ASSERT_TRUE(acted);
  EXPECT_TRUE(done.rewrites.empty());
  EXPECT_TRUE(done.notes.empty()) << done.notes.front();
  expect_clean(*store_);
}

}  // namespace
}  // namespace ckp
