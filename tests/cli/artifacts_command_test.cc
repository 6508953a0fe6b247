// artifacts, extract, and what the other commands say of such files.
#include "ckp/save.h"
#include "cli/fixture.h"

namespace ckp::test {
namespace fs = std::filesystem;
namespace {

class ArtifactsCommandTest : public CliTest {
 protected:
  void SetUp() override {
    write_bytes(root() / "tokenizer.json", "{\"words\": 3}");
    write_bytes(root() / "matrix.csv", "1,0\n0,1\n");
    Store made = Store::create(store());
    ckp::Run run = made.create_run({.name = "cnn"});
    std::vector<float> weight(1000, 0.5f);
    StateDict state;
    state.add("model/weight", contiguous_view(DType::float32, {1000}, weight.data()));
    const auto save = [&](std::int64_t epoch, std::vector<ArtifactFile> files) {
      run.save(state, {.epoch = epoch, .step = epoch, .artifacts = std::move(files)}).wait();
    };
    save(1, {});
    save(2, {{"tokenizer.json", root() / "tokenizer.json"},
             {"reports/matrix.csv", root() / "matrix.csv"}});
    write_bytes(root() / "matrix.csv", "1,1\n0,0\n");
    save(3, {{"tokenizer.json", root() / "tokenizer.json"},
             {"reports/matrix.csv", root() / "matrix.csv"}});
    run.finish(RunStatus::completed);
  }
};

TEST_F(ArtifactsCommandTest, AreListed) {
  const Result text = ckptool({"artifacts", "store", "cnn@2"});
  EXPECT_EQ(text.code, 0) << text;
  EXPECT_TRUE(contains(text.out, "tokenizer.json")) << text;
  const Result json = ckptool({"artifacts", "store", "cnn@2", "--json"});
  const auto list = json.json()["artifacts"];
  ASSERT_EQ(list.size(), 2u) << json;
  EXPECT_EQ(list[0]["name"], "reports/matrix.csv");
  EXPECT_EQ(list[0]["size"], 8);
  EXPECT_EQ(list[1]["xxh3_128"].get<std::string>().size(), 32u);
  EXPECT_EQ(ckptool({"artifacts", "store", "cnn@1"}).out, "no artifacts\n");
  expect_error({"artifacts", "store"}, 2, "usage", {"ADDRESS is missing"});
  expect_error({"artifacts", "nowhere/", "cnn"}, 10, "no_store", {"no store there"});
  expect_error({"artifacts", "store", "cmm"}, 1, "not_found", {"cnn"});
}

TEST_F(ArtifactsCommandTest, AreExtracted) {
  const Result all = ckptool({"extract", "store", "cnn@latest", "-o", "out"});
  EXPECT_EQ(all.code, 0) << all;
  EXPECT_TRUE(contains(all.out, "wrote out/tokenizer.json: 12 bytes")) << all;
  EXPECT_EQ(read_bytes(root() / "out/tokenizer.json"), "{\"words\": 3}");
  EXPECT_EQ(read_bytes(root() / "out/reports/matrix.csv"), "1,1\n0,0\n");

  expect_error({"extract", "store", "cnn@2", "reports/matrix.csv", "-o", "out"}, 1,
               "already_exists", {"out/reports/matrix.csv", "--force"});
  const Result one =
      ckptool({"extract", "store", "cnn@2", "reports/matrix.csv", "-o", "out", "-f", "--json"});
  EXPECT_EQ(one.json()["files"][0]["file"], "out/reports/matrix.csv") << one;
  EXPECT_EQ(read_bytes(root() / "out/reports/matrix.csv"), "1,0\n0,1\n");
  EXPECT_EQ(ckptool({"extract", "store", "cnn@1"}).out, "no artifacts\n");
  expect_error({"extract", "store", "cnn@2", "vocab.json"}, 1, "not_found",
               {"no artifact vocab.json", "reports/matrix.csv, tokenizer.json"});
}

TEST_F(ArtifactsCommandTest, AreWrittenNowhereElse) {
  expect_error({"extract", "store", "cnn@2", "-o", "store/runs"}, 2, "invalid_argument",
               {"inside the store"});
  fs::create_directories(root() / "elsewhere");
  fs::create_directories(root() / "out");
  fs::create_directory_symlink(root() / "elsewhere", root() / "out/reports");
  expect_error({"extract", "store", "cnn@2", "reports/matrix.csv", "-o", "out"}, 2,
               "invalid_argument", {"symbolic link"});
  EXPECT_TRUE(fs::is_empty(root() / "elsewhere"));

  // A name that this library refuses to store, in a file that is not of its making.
  const std::string bytes(10, 'x');
  StateDict evil;
  evil.add("artifacts/../evil", contiguous_view(DType::uint8, {10}, bytes.data()));
  Value facts;
  facts["xxh3_128"] = std::string(32, '0');
  Value all;
  all["../evil"] = facts;
  evil.set("artifacts", all);
  save_file(root() / "evil.ckp", evil);
  EXPECT_TRUE(contains(ckptool({"artifacts", "evil.ckp"}).out, "../evil"));
  expect_error({"extract", "evil.ckp", "-o", "out/deep"}, 1, "unsupported", {"'../evil'"});
  EXPECT_FALSE(fs::exists(root() / "out/evil"));
}

TEST_F(ArtifactsCommandTest, TheOtherCommandsTellThemFromTensors) {
  const Result show = ckptool({"show", "store", "cnn@2"});
  EXPECT_TRUE(contains(show.out, "ARTIFACT")) << show;
  EXPECT_FALSE(contains(show.out, "artifacts/tokenizer.json")) << show;
  const auto json = ckptool({"show", "store", "cnn@2", "--json"}).json();
  EXPECT_EQ(json["artifacts"].size(), 2u);
  EXPECT_EQ(json["tensors"].size(), 1u);
  EXPECT_FALSE(json["values"].contains("artifacts"));

  const auto diff = ckptool({"diff", "store", "cnn@2", "cnn@3", "--json"}).json();
  ASSERT_EQ(diff["artifacts"].size(), 1u) << diff;
  EXPECT_EQ(diff["artifacts"][0]["name"], "reports/matrix.csv");
  EXPECT_EQ(diff["summary"], "1 tensor: 1 unchanged");
  EXPECT_TRUE(diff["values"].empty()) << diff;

  const auto digest = [&](const std::string& address) {
    return ckptool({"digest", "store", address, "--json"}).json()["xxh3_128"];
  };
  EXPECT_EQ(digest("cnn@1"), digest("cnn@2"));

  const Result weights = ckptool({"convert", "store", "cnn@2", "model.safetensors"});
  EXPECT_TRUE(contains(weights.out, "left out: artifacts (ckptool extract writes them)"))
      << weights;
  EXPECT_EQ(ckptool({"convert", "store", "cnn@2", "copy.ckp"}).code, 0);
  EXPECT_EQ(ckptool({"import", "store", "copy.ckp", "--run", "copy"}).code, 0);
  EXPECT_EQ(ckptool({"extract", "store", "copy@latest", "tokenizer.json", "-o", "copied"}).code, 0);
  EXPECT_EQ(read_bytes(root() / "copied/tokenizer.json"), "{\"words\": 3}");

  EXPECT_EQ(ckptool({"prune", "store", "--keep-last", "1"}).code, 0);
  EXPECT_EQ(ckptool({"verify", "store", "--full"}).code, 0);
  EXPECT_EQ(ckptool({"extract", "store", "cnn", "-o", "after"}).code, 0);
  EXPECT_EQ(ckptool({"rebuild-index", "store"}).code, 0);
  EXPECT_EQ(ckptool({"artifacts", "store", "cnn", "--json"}).json()["artifacts"].size(), 2u);
}

TEST_F(ArtifactsCommandTest, DamageOfOneLeavesTheOthers) {
  EXPECT_EQ(ckptool({"convert", "store", "cnn@2", "copy.ckp"}).code, 0);
  const std::size_t at = read_bytes(root() / "copy.ckp").find("1,0\n0,1\n");
  ASSERT_NE(at, std::string::npos);
  flip_byte(root() / "copy.ckp", at);
  const Result result = ckptool({"extract", "copy.ckp", "-o", "out"});
  EXPECT_EQ(result.code, 4) << result;
  EXPECT_TRUE(contains(result.err, "artifact reports/matrix.csv")) << result;
  EXPECT_FALSE(fs::exists(root() / "out/reports/matrix.csv"));
  EXPECT_EQ(read_bytes(root() / "out/tokenizer.json"), "{\"words\": 3}");
}

}  // namespace
}  // namespace ckp::test
