// bisect: the first checkpoint with a NaN.
#include <limits>

#include "ckp/save.h"
#include "cli/fixture.h"

namespace ckp::test {
namespace {

class BisectTest : public CliTest {
 protected:
  void SetUp() override {
    Store made = Store::create(store());
    RunOptions options;
    options.name = "cnn";
    ckp::Run run = made.create_run(options);
    for (int epoch = 1; epoch <= 5; ++epoch) {
      std::vector<float> weight(20'000);
      for (std::size_t i = 0; i < weight.size(); ++i) {
        weight[i] = static_cast<float>(i) * 0.37f + static_cast<float>(epoch);
      }
      if (epoch == 3) weight[12'345] = std::numeric_limits<float>::quiet_NaN();
      const std::vector<float> bias(10, 0.5f);
      StateDict state;
      state.add("model/weight", contiguous_view(DType::float32, {100, 200}, weight.data()));
      state.add("model/bias", contiguous_view(DType::float32, {10}, bias.data()));
      SaveOptions save;
      save.epoch = epoch;
      save.step = epoch * 10;
      save.encode.compression = format::Compression::none;
      saved_.push_back(run.save(state, save).wait().checkpoint);
    }
    run.finish(RunStatus::completed);
  }
  void spoil(const CheckpointRecord& checkpoint) const {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(store() / "runs")) {
      if (!contains(entry.path().filename().string(), checkpoint.id.hex())) continue;
      flip_byte(entry.path(), std::filesystem::file_size(entry.path()) / 2);
    }
  }
  std::vector<CheckpointRecord> saved_;
};

TEST_F(BisectTest, NamesTheFirstAndTheLastGoodCheckpoint) {
  const Result text = ckptool({"bisect", "store", "cnn", "--first-nan"});
  EXPECT_EQ(text.code, 0) << text;
  EXPECT_TRUE(contains(text.out, "first      cnn@")) << text;
  EXPECT_TRUE(contains(text.out, ", epoch 3, step 30\n")) << text;
  EXPECT_TRUE(contains(text.out, "last good  cnn@")) << text;
  EXPECT_TRUE(contains(text.out, ", epoch 2, step 20\n")) << text;
  EXPECT_TRUE(contains(text.out, "NaN at [61, 145]   12,345\n")) << text;
  const nlohmann::json json = ckptool({"bisect", "store", "cnn", "--first-nan", "--json"}).json();
  EXPECT_EQ(json["first"]["id"], saved_[2].id.hex());
  EXPECT_EQ(json["last_good"]["id"], saved_[1].id.hex());
  ASSERT_EQ(json["tensors"].size(), 1u);
  EXPECT_EQ(json["tensors"][0]["name"], "model/weight");
  EXPECT_EQ(json["tensors"][0]["first"]["number"], 12'345);
  EXPECT_EQ(json["tensors"][0]["first"]["kind"], "NaN");
  EXPECT_EQ(json["checkpoints_read"], 3);
}

TEST_F(BisectTest, NoneIsAnAnswerToo) {
  const Result text = ckptool({"bisect", "store", "cnn", "--first-nan", "--tensor", "model/bias"});
  EXPECT_EQ(text.code, 0) << text;
  EXPECT_TRUE(contains(text.out, "no NaN and no infinity in 5 checkpoints\n")) << text;
  const nlohmann::json json =
      ckptool({"bisect", "store", "cnn", "--first-nan", "--tensor", "*bias", "--json"}).json();
  EXPECT_TRUE(json["first"].is_null());
  EXPECT_EQ(json["last_good"]["id"], saved_[4].id.hex());
}

TEST_F(BisectTest, DamageMakesTheAnswerUncertain) {
  spoil(saved_[1]);
  const Result result = ckptool({"bisect", "store", "cnn", "--first-nan", "--json"});
  EXPECT_EQ(result.code, 4) << result;
  EXPECT_TRUE(contains(result.err, saved_[1].id.hex())) << result;
  EXPECT_TRUE(contains(result.err, "may have the first one")) << result;
  const nlohmann::json json = result.json();
  EXPECT_EQ(json["first"]["id"], saved_[2].id.hex());
  EXPECT_EQ(json["last_good"]["id"], saved_[0].id.hex());
  EXPECT_EQ(json["damage"].size(), 1u);
}

TEST_F(BisectTest, InterruptedItSaysSo) {
  if (!std::filesystem::exists("/proc/self/status")) {
    GTEST_SKIP() << "needs /proc to see when to interrupt";
  }
  // It can have finished before the signal comes: then once more.
  Result result;
  for (int attempt = 0; attempt < 50 && result.code != 130; ++attempt) {
    result = interrupted_ckptool({"bisect", "store", "cnn", "--first-nan", "--json"});
    ASSERT_TRUE(result.code == 130 || result.code == 0) << result;
  }
  EXPECT_EQ(result.code, 130) << result;
  EXPECT_EQ(result.json()["complete"], false) << result;
}

TEST_F(BisectTest, WhatToLookForIsNeeded) {
  expect_error({"bisect", "store", "cnn"}, 2, "usage", {"--first-nan"});
  expect_error({"bisect", "store", "--first-nan"}, 2, "usage", {"RUN is missing"});
  expect_error({"bisect", "store", "cnn", "--first-nan", "--tensor", "model/wieght"}, 1,
               "not_found", {"closest names: model/weight"});
}

}  // namespace
}  // namespace ckp::test
