// drift: tensors from checkpoint to checkpoint.
#include <algorithm>

#include "cli/fixture.h"

namespace ckp::test {
namespace {

class DriftCommandTest : public CliTest {
 protected:
  void SetUp() override {
    Store made = Store::create(store());
    saved_ = make_run(made, "cnn", 3);
  }
  std::vector<CheckpointRecord> saved_;
};

TEST_F(DriftCommandTest, ALineForEachTensorOfEachCheckpoint) {
  const Result text = ckptool({"drift", "store", "cnn", "model/*.weight"});
  EXPECT_EQ(text.code, 0) << text;
  EXPECT_EQ(std::count(text.out.begin(), text.out.end(), '\n'), 7) << text;
  EXPECT_TRUE(contains(text.out, "32,768 of 32,768")) << text;
  EXPECT_TRUE(contains(text.out, "unchanged")) << text;
  EXPECT_FALSE(contains(text.out, "fc.bias")) << text;

  const nlohmann::json json = ckptool({"drift", "store", "cnn", "model", "--json"}).json();
  EXPECT_EQ(json["run"], "cnn");
  EXPECT_EQ(json["complete"], true);
  ASSERT_EQ(json["checkpoints"].size(), 3u);
  for (std::size_t i = 0; i < 3; ++i) {
    const nlohmann::json& checkpoint = json["checkpoints"][i];
    EXPECT_EQ(checkpoint["id"], saved_[i].id.hex());
    EXPECT_EQ(checkpoint["epoch"], saved_[i].epoch);
    ASSERT_EQ(checkpoint["tensors"].size(), 3u);
    const nlohmann::json& frozen = checkpoint["tensors"][0];
    EXPECT_EQ(frozen["name"], "model/embedding.weight");
    EXPECT_EQ(frozen["change"], i == 0 ? "first" : "unchanged");
    EXPECT_EQ(frozen["norm"], json["checkpoints"][0]["tensors"][0]["norm"]);
    const nlohmann::json& weight = checkpoint["tensors"][2];
    EXPECT_EQ(weight["name"], "model/fc.weight");
    EXPECT_EQ(weight["change"], i == 0 ? "first" : "changed");
    EXPECT_EQ(weight["dtype"], "float32");
    // Uniform in [-1, 1]: the norm is that of 32768 elements of variance 1/3.
    EXPECT_NEAR(weight["norm"].get<double>(), 104.5, 3);
    EXPECT_EQ(weight["relative"].is_null(), i == 0);
  }
  // diff says the same of a pair.
  const nlohmann::json pair =
      ckptool({"diff", "store", "cnn@2", "cnn@3", "--only", "model/fc.weight", "--json"}).json();
  EXPECT_EQ(pair["tensors"][0]["relative"], json["checkpoints"][2]["tensors"][2]["relative"]);
}

TEST_F(DriftCommandTest, DamageIsNamedAndTheRestIsCompared) {
  for (const auto& entry : std::filesystem::recursive_directory_iterator(store() / "runs")) {
    if (!contains(entry.path().filename().string(), saved_[1].id.hex())) continue;
    flip_byte(entry.path(), std::filesystem::file_size(entry.path()) / 2);
  }
  const Result result = ckptool({"drift", "store", "cnn", "model/fc.weight", "--json"});
  EXPECT_EQ(result.code, 4) << result;
  EXPECT_TRUE(contains(result.err, saved_[1].id.hex())) << result;
  const nlohmann::json json = result.json();
  EXPECT_EQ(json["checkpoints"][1]["tensors"][0]["change"], "unreadable");
  EXPECT_EQ(json["checkpoints"][2]["tensors"][0]["change"], "changed");
  EXPECT_EQ(json["damage"].size(), 1u);
}

TEST_F(DriftCommandTest, InterruptedItSaysSo) {
  if (!std::filesystem::exists("/proc/self/status")) {
    GTEST_SKIP() << "needs /proc to see when to interrupt";
  }
  // It can have finished before the signal comes: then once more.
  Result result;
  for (int attempt = 0; attempt < 50 && result.code != 130; ++attempt) {
    result = interrupted_ckptool({"drift", "store", "cnn", "model", "--json"});
    ASSERT_TRUE(result.code == 130 || result.code == 0) << result;
  }
  EXPECT_EQ(result.code, 130) << result;
  EXPECT_EQ(result.json()["complete"], false) << result;
}

TEST_F(DriftCommandTest, ARunAndATensorAreNeeded) {
  expect_error({"drift", "store", "cnn"}, 2, "usage", {"RUN or TENSOR is missing"});
  expect_error({"drift", "store", "cmn", "model"}, 1, "not_found", {"cnn"});
  expect_error({"drift", "store", "cnn", "model/fc.wieght"}, 1, "not_found",
               {"closest names: model/fc.weight"});
}

}  // namespace
}  // namespace ckp::test
