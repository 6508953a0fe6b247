// diff: what two checkpoints differ in.
#include <algorithm>
#include <cmath>
#include <limits>

#include "cli/fixture.h"

namespace ckp::test {
namespace {

class DiffTest : public CliTest {
 protected:
  void SetUp() override {
    Store made = Store::create(store());
    saved_ = make_run(made, "cnn", 3);
  }
  static nlohmann::json tensor(const nlohmann::json& document, const std::string& name) {
    for (const auto& each : document["tensors"]) {
      if (each["name"] == name) return each;
    }
    return nullptr;
  }
  std::vector<CheckpointRecord> saved_;
};

TEST_F(DiffTest, TellsMetricsValuesAndTensors) {
  const Result text = ckptool({"diff", "store", "cnn@1", "cnn@3"});
  EXPECT_EQ(text.code, 0) << text;
  EXPECT_TRUE(contains(text.out, "4 tensors: 2 changed, 2 unchanged\n")) << text;
  EXPECT_FALSE(contains(text.out, "embedding")) << text;
  EXPECT_TRUE(contains(text.out, "32,768 of 32,768")) << text;
  EXPECT_TRUE(contains(text.out, "val/loss")) << text;
  EXPECT_TRUE(contains(text.out, "progress/epoch  1  3")) << text;
  EXPECT_FALSE(contains(text.out, "PARAMETER")) << text;

  const nlohmann::json json = ckptool({"diff", "store", "cnn@1", "cnn@3", "--json"}).json();
  EXPECT_EQ(json["a"]["id"], saved_[0].id.hex());
  EXPECT_EQ(json["b"]["id"], saved_[2].id.hex());
  EXPECT_EQ(json["tensors"].size(), 4u);
  EXPECT_EQ(tensor(json, "model/embedding.weight")["change"], "unchanged");
  const nlohmann::json weight = tensor(json, "model/fc.weight");
  EXPECT_EQ(weight["change"], "changed");
  EXPECT_EQ(weight["elements"], 32'768);
  EXPECT_EQ(weight["changed"], 32'768);
  EXPECT_EQ(weight["relative_is_bound"], false);
  // Two independent uniform draws: the norm of their difference is sqrt(2) of either's.
  EXPECT_NEAR(weight["relative"].get<double>(), std::sqrt(2.0), 0.1);
  EXPECT_EQ(json["metrics"].size(), 2u);
}

TEST_F(DiffTest, ParametersOfTwoRunsAreCompared) {
  {
    Store made = Store::open(store());
    RunOptions options;
    options.name = "wide";
    options.parameters["lr"] = Value(0.01);
    options.parameters["width"] = Value(64);
    ckp::Run run = made.create_run(options);
    save_epochs(run, 1, 1);
  }
  const Result text = ckptool({"diff", "store", "cnn@1", "wide"});
  EXPECT_EQ(text.code, 0) << text;
  EXPECT_TRUE(contains(text.out, "PARAMETER")) << text;
  EXPECT_TRUE(contains(text.out, "4 tensors: 4 unchanged\n")) << text;
  const nlohmann::json json = ckptool({"diff", "store", "cnn@1", "wide", "--json"}).json();
  ASSERT_EQ(json["parameters"].size(), 2u);
  EXPECT_EQ(json["parameters"][0]["name"], "lr");
  EXPECT_EQ(json["parameters"][0]["a"], 0.001);
  EXPECT_EQ(json["parameters"][1]["a"], nullptr);
  EXPECT_EQ(json["parameters"][1]["b"], 64);
}

TEST_F(DiffTest, FilesAreComparedWithFilesAndWithCheckpoints) {
  make_file(root() / "one.ckp", 1);
  make_file(root() / "two.ckp", 2);
  const Result files = ckptool({"diff", "one.ckp", "two.ckp"});
  EXPECT_EQ(files.code, 0) << files;
  EXPECT_TRUE(contains(files.out, "4 tensors: 2 changed, 2 unchanged\n")) << files;
  const Result mixed = ckptool({"diff", "store", "cnn@2", "two.ckp"});
  EXPECT_EQ(mixed.code, 0) << mixed;
  EXPECT_TRUE(contains(mixed.out, "4 tensors: 4 unchanged\n")) << mixed;
}

TEST_F(DiffTest, OnlyAndLimitSelectTheLargestFirst) {
  {
    std::vector<float> large(10, 2.0f), small(10, 1.5f), bad(10, 1.0f);
    const std::vector<float> ones(10, 1.0f);
    bad[7] = std::numeric_limits<float>::quiet_NaN();
    StateDict a, b;
    for (const char* name : {"m/large", "m/small", "m/bad", "m/same"}) {
      a.add(name, contiguous_view(DType::float32, {10}, ones.data()));
    }
    b.add("m/large", contiguous_view(DType::float32, {10}, large.data()));
    b.add("m/small", contiguous_view(DType::float32, {10}, small.data()));
    b.add("m/bad", contiguous_view(DType::float32, {10}, bad.data()));
    b.add("m/same", contiguous_view(DType::float32, {10}, ones.data()));
    save_file(root() / "a.ckp", a);
    save_file(root() / "b.ckp", b);
  }
  const Result all = ckptool({"diff", "a.ckp", "b.ckp"});
  EXPECT_TRUE(contains(all.out, "NaN at [7]")) << all;
  EXPECT_LT(all.out.find("m/bad"), all.out.find("m/large")) << all;
  EXPECT_LT(all.out.find("m/large"), all.out.find("m/small")) << all;
  const Result two = ckptool({"diff", "a.ckp", "b.ckp", "--limit", "2"});
  EXPECT_FALSE(contains(two.out, "m/small")) << two;
  EXPECT_TRUE(contains(two.out, "and 1 more\n")) << two;
  EXPECT_TRUE(contains(two.out, "4 tensors: 3 changed, 1 unchanged\n")) << two;
  const Result only = ckptool({"diff", "a.ckp", "b.ckp", "--only", "*s*", "--json"});
  EXPECT_EQ(only.json()["tensors"].size(), 2u) << only;
  expect_error({"diff", "a.ckp", "b.ckp", "--only", "m/lagre"}, 1, "not_found",
               {"no tensor m/lagre", "closest names: m/large"});
  expect_error({"diff", "a.ckp", "b.ckp", "--limit", "few"}, 2, "usage", {"--limit few"});
}

TEST_F(DiffTest, DamageIsNamedAndTheRestIsCompared) {
  make_file(root() / "one.ckp", 1);
  make_file(root() / "two.ckp", 2);
  // The large tensor's chunk is the longest stretch of the file.
  flip_byte(root() / "two.ckp", std::filesystem::file_size(root() / "two.ckp") / 2);
  const Result result = ckptool({"diff", "one.ckp", "two.ckp"});
  EXPECT_EQ(result.code, 4) << result;
  EXPECT_TRUE(contains(result.err, "two.ckp")) << result;
  EXPECT_TRUE(contains(result.err, "chunk")) << result;
  EXPECT_TRUE(contains(result.out, "unreadable")) << result;
  EXPECT_TRUE(contains(result.out, " unchanged")) << result;
  const Result json = ckptool({"diff", "one.ckp", "two.ckp", "--json"});
  EXPECT_EQ(json.code, 4) << json;
  EXPECT_EQ(json.json()["damage"].size(), 1u) << json;
}

TEST_F(DiffTest, BothSidesAreNeeded) {
  expect_error({"diff", "store", "cnn@1"}, 2, "usage", {"B is missing"});
  expect_error({"diff", "store", "cnn@1", "cnn@9"}, 1, "not_found", {"9"});
  expect_error({"diff", "one.ckp", "two.ckp"}, 1, "not_found", {"one.ckp: no such file"});
}

}  // namespace
}  // namespace ckp::test
