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
  std::string expected() const {
    std::ifstream in(golden_ / "store.txt");
    return {std::istreambuf_iterator<char>(in), {}};
  }

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

}  // namespace
}  // namespace ckp
