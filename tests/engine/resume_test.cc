// Resuming never goes back in silence: what cannot be read now is an error, what is damaged is
// named, what is pruned meanwhile is chosen anew.
#include <algorithm>
#include <fstream>

#include "ckp/query.h"
#include "store/layout.h"
#include "store_fixture.h"
#include "support/faulty_file_system.h"
#include "support/hooked_file_system.h"

namespace ckp {
namespace {

using test::expect_error;
using test::FaultyFileSystem;
using test::HookedFileSystem;
using test::SmallState;
using test::StoreTest;

class ResumeTest : public StoreTest {
 protected:
  // Run "a" with checkpoints of epochs 1 to `count`, held by nobody; their packs.
  std::vector<std::filesystem::path> fill(int count) {
    std::filesystem::remove_all(path());
    Store store = Store::create(path());
    ckp::Run run = store.create_run(run_options("a"));
    std::vector<std::filesystem::path> packs;
    for (int epoch = 1; epoch <= count; ++epoch) {
      const SaveOptions options{.epoch = epoch, .step = epoch * 100};
      packs.push_back(run.save(SmallState(epoch).dict(), options).wait().path);
    }
    return packs;
  }
  Store open_with(std::shared_ptr<FileSystem> fs, std::int64_t lock_timeout_ms = 60'000) {
    StoreOptions options;
    options.file_system = std::move(fs);
    options.lock_timeout_ms = lock_timeout_ms;
    return Store::open(path(), options);
  }
  std::shared_ptr<FaultyFileSystem> faulty() {
    return std::make_shared<FaultyFileSystem>(posix_file_system(), path());
  }
  static KeepPolicy keep_last(std::uint32_t count) {
    KeepPolicy policy;
    policy.last = count;
    return policy;
  }
};

TEST_F(ResumeTest, AnErrorOnTheNewestCheckpointIsNoReasonToGoBack) {
  const std::string newest = fill(2).back().filename().string();
  const auto fs = faulty();
  Store store = open_with(fs);
  fs->plan({.at = 1, .only = [&](const std::string& operation) {
              return operation.starts_with("open ") && operation.ends_with(newest);
            }});
  expect_error(ErrorCode::io, "injected fault", [&] { store.resume_run("a"); });
  EXPECT_EQ(fs->failures(), 1u);
  fs->clear();
  {
    const ckp::Run run = store.resume_run("a");
    EXPECT_EQ(run.continued_from()->record().epoch, 2);
    EXPECT_TRUE(run.skipped().empty());
  }
  store.prune(keep_last(1));
  EXPECT_EQ(epochs(store.checkpoints(store.run("a").id)), (std::vector<std::int64_t>{2}));
}

// Each operation of a resume fails once: it is an error, or the newest is continued from.
TEST_F(ResumeTest, AFaultAnywhereIsAnErrorOrChangesNothing) {
  std::size_t failed = 0, k = 1;
  for (bool done = false; !done; ++k) {
    ASSERT_LT(k, 1000u) << "the resume never gets through";
    fill(2);
    const auto fs = faulty();
    Store store = open_with(fs);
    fs->plan({.at = k, .torn_write = true});
    try {
      const ckp::Run run = store.resume_run("a");
      ASSERT_TRUE(run.continued_from().has_value()) << "operation " << k;
      EXPECT_EQ(run.continued_from()->record().epoch, 2) << "operation " << k;
      EXPECT_TRUE(run.skipped().empty()) << "operation " << k;
    } catch (const Error&) {
      ++failed;
    }
    done = fs->failures() == 0;
    fs->clear();
    Store sound = Store::open(path());
    EXPECT_TRUE(sound.verify().clean()) << "operation " << k;
    EXPECT_EQ(epochs(sound.checkpoints(sound.run("a").id)), (std::vector<std::int64_t>{1, 2}));
    EXPECT_EQ(sound.resume_run("a").continued_from()->record().epoch, 2) << "operation " << k;
  }
  EXPECT_GT(failed, 10u);
}

TEST_F(ResumeTest, ARunWhoseCheckpointsAreAllDamagedDoesNotStartFresh) {
  // Cut off the manifest, then all but the header.
  for (const std::uintmax_t left : {std::uintmax_t{5000}, std::uintmax_t{100}, std::uintmax_t{0}}) {
    for (const auto& pack : fill(2)) std::filesystem::resize_file(pack, left);
    Store store = Store::open(path());
    expect_error(ErrorCode::corrupt, "ckptool verify", [&] { store.resume_run("a"); });
    EXPECT_EQ(store.run("a").attempts.size(), 1u) << "a failed resume is no attempt";
  }
}

TEST_F(ResumeTest, ARunThatCannotBeReadNowDoesNotStartFresh) {
  fill(2);
  const auto fs = faulty();
  Store store = open_with(fs);
  fs->plan({.at = 1, .forever = true, .only = [](const std::string& operation) {
              return operation.starts_with("open ") && operation.ends_with(".ckp");
            }});
  expect_error(ErrorCode::io, "injected fault", [&] { store.resume_run("a"); });
  fs->clear();
  EXPECT_EQ(store.resume_run("a").continued_from()->record().epoch, 2);
}

// Another process removes the newest checkpoint at any moment of the resume.
TEST_F(ResumeTest, ACheckpointRemovedWhileItIsChosenIsChosenAnew) {
  std::size_t removed_while_resuming = 0, chosen_anew = 0, k = 1;
  for (bool done = false; !done; ++k) {
    ASSERT_LT(k, 1000u) << "the resume never gets through";
    fill(3);
    Store other = open_with(posix_file_system(), 0);  // gives up when the resume holds the store
    const RunRecord record = other.run("a");
    const CheckpointRecord newest = other.find(parse_address("a@3"));
    const auto fs = std::make_shared<HookedFileSystem>();
    Store store = open_with(fs);
    std::size_t operation = 0;
    bool removed = false;
    fs->after = [&](const std::string&) {
      if (++operation != k) return;
      try {
        other.remove_checkpoints(std::span(&newest.id, 1));
        removed = true;
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::locked) << error.what();
      }
    };
    const ckp::Run run = store.resume_run("a");
    done = operation < k;
    fs->after = nullptr;
    ASSERT_TRUE(run.continued_from().has_value()) << "operation " << k;
    const CheckpointRecord& chosen = run.continued_from()->record();
    const auto live = epochs(other.checkpoints(record.id));
    EXPECT_EQ(chosen.epoch, live.back()) << "operation " << k;
    EXPECT_TRUE(SmallState(static_cast<int>(chosen.epoch)).is_in(*run.continued_from()));
    removed_while_resuming += removed ? 1u : 0u;
    chosen_anew += removed && chosen.epoch == 2 ? 1u : 0u;
  }
  EXPECT_GT(removed_while_resuming, 3u);
  EXPECT_EQ(chosen_anew, removed_while_resuming);
}

// The one that was asked for by address is gone: nothing else is taken in its place, and nothing
// is lost to the next resume.
TEST_F(ResumeTest, ACheckpointAskedForAndPrunedMeanwhileIsNotFound) {
  const std::string oldest = fill(3).front().filename().string();
  Store other = open_with(posix_file_system(), 0);
  const auto fs = std::make_shared<HookedFileSystem>();
  Store store = open_with(fs);
  int opened = 0;
  fs->after = [&](const std::string& operation) {
    if (operation.starts_with("open ") && operation.ends_with(oldest) && ++opened == 2) {
      other.prune(keep_last(1));
    }
  };
  EXPECT_THROW(store.resume_run("a", parse_address("a@1")), Error);
  EXPECT_GE(opened, 2);
  fs->after = nullptr;
  const ckp::Run run = store.resume_run("a");
  EXPECT_EQ(run.continued_from()->record().epoch, 3);
  EXPECT_TRUE(run.skipped().empty());
}

// A copy of an old pack under a number of its own must not become what a run resumes from.
TEST_F(ResumeTest, ACopyOfAPackUnderAHigherNumberIsNotTakenForTheNewest) {
  const auto packs = fill(3);
  PackName name = *parse_pack_name(packs[0].filename().string());
  name.commit += 1000;
  std::filesystem::copy_file(packs[0], packs[0].parent_path() / to_file_name(name));
  for (const bool rebuilt : {false, true}) {
    Store store = Store::open(path());
    if (rebuilt) {
      EXPECT_EQ(store.rebuild_index().unreadable.size(), 1u);
    }
    EXPECT_EQ(store.find(parse_address("a@latest")).epoch, 3);
    const ckp::Run run = store.resume_run("a");
    EXPECT_EQ(run.continued_from()->record().epoch, 3);
    ASSERT_EQ(run.skipped().size(), 1u);
    EXPECT_NE(run.skipped()[0].find(to_file_name(name)), std::string::npos);
    EXPECT_EQ(epochs(store.checkpoints(run.record().id)), (std::vector<std::int64_t>{1, 2, 3}));
  }
}

}  // namespace
}  // namespace ckp
