// What is pruned or removed while a verify looks at it is no damage.
#include <functional>

#include "rewrite_fixture.h"
#include "support/hooked_file_system.h"

namespace ckp {
namespace {

using test::HookedFileSystem;
using test::RewriteTest;

namespace stdfs = std::filesystem;

class VerifyRaceTest : public RewriteTest {
 protected:
  // The second needs the second chunk of the first.
  void make_store(const std::vector<int>& third) {
    Store store = Store::create(path());
    ckp::Run run = store.create_run(run_options("cnn"));
    run.log(1, 1, {{"val/loss", 1.0}});
    save_parts(run, {1, 1}, 1);
    save_parts(run, {2, 1}, 2);
    save_parts(run, third, 3);
  }

  // Verifies one copy of the store for each operation on a file's name, and calls `act` before that
  // operation with another handle on the copy.
  void act_anywhere(const std::function<void(Store&)>& act) {
    std::uint64_t done = 0;
    bool reached = true;
    for (std::uint64_t k = 1; reached; ++k) {
      SCOPED_TRACE("before operation " + std::to_string(k));
      stdfs::remove_all(copy());
      stdfs::copy(path(), copy(), stdfs::copy_options::recursive);
      Store store = Store::open(copy(), {.file_system = fs_});
      store.runs();  // makes the copy's index
      done += verify_and_act(store, k, act, reached) ? 1 : 0;
      ASSERT_FALSE(HasFailure());
      ASSERT_LT(k, 1000u);
    }
    EXPECT_GT(done, 20u);
  }

 private:
  stdfs::path copy() const { return directory_ / "copy"; }

  // Others wait for it then, which one thread cannot.
  bool index_is_held() const {
    const auto file = posix_file_system()->open(copy() / "lock", OpenMode::read_write);
    return !file->lock(lock_byte::index_data, LockKind::exclusive, false);
  }

  // Whether it could act: not while the verify has the store's lock or the index's.
  bool verify_and_act(Store& store, std::uint64_t k, const std::function<void(Store&)>& act,
                      bool& reached) {
    std::uint64_t operations = 0;
    bool done = false;
    reached = false;
    fs_->before = [&](const std::string&) {
      if (++operations != k) return;
      fs_->before = {};
      reached = true;
      if (index_is_held()) return;
      Store other = Store::open(copy(), {.lock_timeout_ms = 1});
      try {
        act(other);
        done = true;
      } catch (const Error& error) {
        if (error.code() != ErrorCode::locked) throw;
      }
    };
    const VerifyReport report = store.verify({.level = VerifyLevel::full, .threads = 1});
    fs_->before = {};
    for (const Finding& finding : report.findings) ADD_FAILURE() << finding.message;
    return done;
  }

  const std::shared_ptr<HookedFileSystem> fs_ = std::make_shared<HookedFileSystem>();
};

// The second is the only one that refers to another, so that nobody has asked for its chunk before.
TEST_F(VerifyRaceTest, CheckpointsArePruned) {
  make_store({3, 3});
  act_anywhere([](Store& store) { store.prune(keep_last(1)); });
}

TEST_F(VerifyRaceTest, CheckpointsArePrunedAndAPackIsRewritten) {
  make_store({1, 3});
  act_anywhere([](Store& store) { store.prune(keep_last(1)); });
}

TEST_F(VerifyRaceTest, TheRunIsRemoved) {
  make_store({1, 3});
  act_anywhere([](Store& store) { store.remove_run("cnn"); });
}

}  // namespace
}  // namespace ckp
