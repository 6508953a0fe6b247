// Stores of released versions, used by today's code.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "ckp/store.h"
#include "golden/describe_store.h"
#include "support/small_state.h"
#include "support/temporary_directory.h"

namespace ckp {
namespace {

class GoldenStoreTest : public testing::Test {
 protected:
  GoldenStoreTest() {
    std::filesystem::copy(golden_ / "store", path_, std::filesystem::copy_options::recursive);
  }
  static std::string read_file(const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  std::string expected() const { return read_file(golden_ / "store.txt"); }

  const std::filesystem::path golden_ = std::filesystem::path(CKP_SOURCE_DIR) / "tests/golden/v1";
  test::TemporaryDirectory directory_;
  const std::filesystem::path path_ = directory_ / "store";
};

TEST_F(GoldenStoreTest, HoldsWhatItHeld) {
  const Store store = Store::open(path_);
  EXPECT_FALSE(expected().empty());
  EXPECT_EQ(golden::describe_store(store), expected());
  const VerifyReport report = store.verify({.level = VerifyLevel::full});
  EXPECT_EQ(report.findings.size(), 0u);
  EXPECT_EQ(report.checkpoints, 5u);
}

TEST_F(GoldenStoreTest, IsResumedSavedIntoAndPruned) {
  Store store = Store::open(path_);
  {
    ckp::Run run = store.resume_run("cnn");
    ASSERT_TRUE(run.continued_from());
    EXPECT_EQ(run.continued_from()->record().epoch, 3) << "the newest finite one of its line";
    run.save(test::SmallState(9).dict(), {.epoch = 9, .step = 900}).wait();
  }
  KeepPolicy policy;
  policy.last = 1;
  store.prune(policy);
  EXPECT_EQ(store.checkpoints(store.run("cnn").id).back().epoch, 9);
  EXPECT_TRUE(store.verify({.level = VerifyLevel::full}).clean());
}

// In a store of an earlier version; and without a trash it is one again.
TEST_F(GoldenStoreTest, HasATrash) {
  Store store = Store::open(path_);
  const auto before = golden::describe_store(store);
  const std::string identity = read_file(path_ / "STORE");
  KeepPolicy policy;
  policy.last = 1;
  constexpr std::int64_t hour_ns = 3'600'000'000'000;
  EXPECT_GT(store.prune(policy, {}, {.trash_ns = hour_ns}).trash_checkpoints, 0u);
  EXPECT_NE(golden::describe_store(store), before);
  EXPECT_NE(read_file(path_ / "STORE"), identity);
  std::vector<Uuid> all;
  for (const TrashedCheckpoint& one : store.trash()) all.push_back(one.checkpoint.id);
  store.undelete(all);
  EXPECT_EQ(golden::describe_store(store), before);
  EXPECT_EQ(read_file(path_ / "STORE"), identity);
  EXPECT_TRUE(store.verify({.level = VerifyLevel::full}).clean());
}

// It has no marks at all.
TEST_F(GoldenStoreTest, TakesAPolicy) {
  Store store = Store::open(path_);
  EXPECT_TRUE(store.policies().empty());
  store.set_policy({.daily = 1});
  store = Store::open(path_);
  EXPECT_EQ(store.policies().store->keep.daily, 1u);
  store.apply_policy();
  EXPECT_EQ(store.checkpoints(store.run("cnn").id).size(), 1u);
  EXPECT_TRUE(store.verify({.level = VerifyLevel::full}).clean());
}

}  // namespace
}  // namespace ckp
