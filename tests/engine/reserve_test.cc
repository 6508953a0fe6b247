// H11: space is set aside for a prune on a full disk. It is given back before anything is written,
// and is there again before a rewrite could take it.
#include <algorithm>
#include <array>

#include "rewrite_fixture.h"
#include "support/faulty_file_system.h"

namespace ckp {
namespace {

using test::FaultyFileSystem;
using test::RewriteTest;

namespace stdfs = std::filesystem;

bool needs_space(const std::string& operation) {
  constexpr std::array verbs{"write ",  "create ",         "create_new ", "reserve ",
                             "rename ", "make_directory ", "sync "};
  return std::any_of(verbs.begin(), verbs.end(),
                     [&](const char* verb) { return operation.starts_with(verb); });
}

class ReserveTest : public RewriteTest {
 protected:
  ReserveTest() {
    StoreOptions options;
    options.file_system = fs_;
    store_.emplace(Store::create(path(), options));
    run_.emplace(store_->create_run(run_options("cnn")));
  }
  stdfs::path reserve() const { return path() / "reserve"; }

  // Does `work` on a disk without a free byte until the reserve is gone.
  template <class Work>
  void on_a_full_disk(const Work& work) {
    ASSERT_TRUE(stdfs::exists(reserve()));
    bool full = true;
    fs_->plan({.at = 1,
               .code = ErrorCode::out_of_space,
               .forever = true,
               .only = [&](const std::string& operation) {
                 if (operation == "remove reserve") full = false;
                 return full && needs_space(operation);
               }});
    work();
    EXPECT_EQ(fs_->failures(), 0u) << fs_->first_failure();
    EXPECT_FALSE(full);
    fs_->clear();
    EXPECT_TRUE(stdfs::exists(reserve()));
    expect_clean(*store_);
  }

  const std::shared_ptr<FaultyFileSystem> fs_ =
      std::make_shared<FaultyFileSystem>(posix_file_system(), path());
  std::optional<Store> store_;
  std::optional<ckp::Run> run_;
};

TEST_F(ReserveTest, AFullDiskIsPruned) {
  save(*run_, 1);
  save(*run_, 2);
  on_a_full_disk([&] { EXPECT_GT(store_->prune(keep_last(1)).bytes_freed, 0u); });
}

TEST_F(ReserveTest, ACheckpointIsRemovedFromAFullDisk) {
  const CheckpointRecord first = save(*run_, 1);
  save(*run_, 2);
  on_a_full_disk([&] { EXPECT_GT(store_->remove_checkpoints(std::span(&first.id, 1)), 0u); });
}

TEST_F(ReserveTest, ARunIsRemovedFromAFullDisk) {
  save(*run_, 1);
  run_.reset();
  on_a_full_disk([&] { EXPECT_GT(store_->remove_run("cnn"), 0u); });
}

TEST_F(ReserveTest, ARewriteDoesNotEatIt) {
  save_parts(*run_, {1, 1, 1, 1}, 1);
  save_parts(*run_, {1, 2, 2, 2}, 2);
  fs_->clear_log();
  ASSERT_EQ(store_->prune(keep_last(1)).rewrites.size(), 1u);
  const std::vector<std::string> log = fs_->log();
  const auto made = std::find(log.begin(), log.end(), "reserve reserve 0 8388608");
  const auto rewrite = std::find_if(log.begin(), log.end(), [](const std::string& operation) {
    return operation.starts_with("create_new ") && operation.ends_with(".tmp");
  });
  ASSERT_NE(made, log.end());
  ASSERT_NE(rewrite, log.end());
  EXPECT_LT(made - log.begin(), rewrite - log.begin());
}

// A prune that frees less than the reserve needs leaves none, rather than a part of it.
TEST_F(ReserveTest, WithoutSpaceForItThereIsNone) {
  save(*run_, 1);
  save(*run_, 2);
  const auto full = [](const std::string& operation) {
    return operation.starts_with("reserve reserve");
  };
  fs_->plan({.at = 1, .code = ErrorCode::out_of_space, .only = full});
  EXPECT_GT(store_->prune(keep_last(1)).bytes_freed, 0u);
  EXPECT_EQ(fs_->failures(), 1u);
  fs_->clear();
  EXPECT_FALSE(stdfs::exists(reserve()));
  expect_clean(*store_);
  // The next one makes it again.
  save(*run_, 3);
  store_->prune(keep_last(1));
  EXPECT_TRUE(stdfs::exists(reserve()));
}

}  // namespace
}  // namespace ckp
