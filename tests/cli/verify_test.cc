// ckptool verify: damage is found, named, and answered with the next command.
#include <algorithm>
#include <random>

#include "ckp/save.h"
#include "cli/fixture.h"

namespace ckp::test {
namespace fs = std::filesystem;
namespace {

class VerifyCommandTest : public CliTest {
 protected:
  void SetUp() override {
    Store made = Store::create(store());
    saved_ = make_run(made, "cnn", 3);
  }
  fs::path pack_of(std::size_t i) const {
    const Result shown = ckptool({"show", "store", "cnn@" + saved_[i].id.hex(), "--json"});
    return root() / shown.json()["file"].get<std::string>();
  }
  std::vector<CheckpointRecord> saved_;
};

TEST_F(VerifyCommandTest, AnUndamagedStoreIsClean) {
  for (const std::vector<std::string>& level :
       std::vector<std::vector<std::string>>{{}, {"--structure"}, {"--full"}}) {
    std::vector<std::string> arguments{"verify", "store"};
    arguments.insert(arguments.end(), level.begin(), level.end());
    const Result text = ckptool(arguments);
    EXPECT_EQ(text.code, 0) << text;
    EXPECT_TRUE(contains(text.out, "no damage found")) << text;
    EXPECT_EQ(text.err, "") << "progress is for terminals";
    arguments.emplace_back("--json");
    const nlohmann::json json = ckptool(arguments).json();
    EXPECT_EQ(json["clean"], true);
    EXPECT_EQ(json["checkpoints"], 3);
    EXPECT_EQ(json["runs"], 1);
  }
  EXPECT_EQ(ckptool({"verify", "store", "--quiet"}).out, "");
}

TEST_F(VerifyCommandTest, AFlippedByteIsNamedWithRunEpochTensorChunkAndFile) {
  const fs::path pack = pack_of(1);
  flip_byte(pack, 40'000);  // in the middle of the weights
  const Result text = ckptool({"verify", "store"});
  EXPECT_EQ(text.code, 4) << text;
  for (const std::string& word :
       {pack.filename().string(), std::string("run cnn"), std::string("epoch 2"),
        std::string("step 20"), std::string("tensor model/"), std::string("chunk "),
        std::string("offset "), std::string("hits 1 checkpoint"),
        std::string("next: ckptool repair store --dry-run")}) {
    EXPECT_TRUE(contains(text.out, word)) << word << text;
  }
  const Result json = ckptool({"verify", "store", "--full", "--json"});
  EXPECT_EQ(json.code, 4) << json;
  const nlohmann::json document = json.json();
  EXPECT_EQ(document["clean"], false);
  ASSERT_GE(document["findings"].size(), 1u) << json;
  const nlohmann::json finding = document["findings"][0];
  EXPECT_EQ(finding["run"], "cnn");
  EXPECT_EQ(finding["epoch"], 2);
  EXPECT_EQ(finding["checkpoint"], saved_[1].id.hex());
  EXPECT_EQ(finding["next"], "ckptool repair store --dry-run --full") << json;
}

TEST_F(VerifyCommandTest, ATruncatedPackIsDamage) {
  const fs::path pack = pack_of(2);
  fs::resize_file(pack, fs::file_size(pack) / 2);
  const Result text = ckptool({"verify", "store"});
  EXPECT_EQ(text.code, 4) << text;
  EXPECT_TRUE(contains(text.out, pack.filename().string())) << text;
  EXPECT_EQ(ckptool({"verify", "store", "--structure"}).code, 4);
  // The others are as they were.
  EXPECT_EQ(ckptool({"digest", "store", "cnn@2"}).code, 0);
}

TEST_F(VerifyCommandTest, ADamagedCheckpointIsNotReadAsData) {
  flip_byte(pack_of(1), 40'000);
  expect_error({"digest", "store", "cnn@2"}, 4, "corrupt", {"chunk"});
  expect_error({"convert", "store", "cnn@2", "out.safetensors"}, 4, "corrupt", {"chunk"});
  EXPECT_FALSE(fs::exists(root() / "out.safetensors"));
}

TEST_F(VerifyCommandTest, OneFileByItself) {
  make_file(root() / "one.ckp", 1);
  EXPECT_EQ(ckptool({"verify", "one.ckp", "--full"}).code, 0);
  flip_byte(root() / "one.ckp", 40'000);
  const Result damaged = ckptool({"verify", "one.ckp"});
  EXPECT_EQ(damaged.code, 4) << damaged;
  EXPECT_TRUE(contains(damaged.out, "one.ckp")) << damaged;
  EXPECT_TRUE(contains(damaged.out, "put back a copy")) << damaged;
  expect_error({"verify", "absent.ckp"}, 1, "not_found", {"absent.ckp"});
}

TEST_F(VerifyCommandTest, AShareIsCheckedAndTheSeedIsPrinted) {
  const std::uint64_t all = ckptool({"verify", "store", "--json"}).json()["chunks"];
  std::uint64_t seen = 0;
  for (const std::string seed : {"7", "8"}) {
    const Result text = ckptool({"verify", "store", "--subset", "50%", "--seed", seed});
    EXPECT_EQ(text.code, 0) << text;
    EXPECT_TRUE(contains(text.out, "50 % of the chunks, seed " + seed)) << text;
    const Result json = ckptool({"verify", "store", "--subset", "0.5", "--seed", seed, "--json"});
    EXPECT_EQ(json.json()["seed"], std::stoi(seed));
    seen += json.json()["chunks"].get<std::uint64_t>();
  }
  EXPECT_EQ(seen, all);
  EXPECT_TRUE(contains(ckptool({"verify", "store", "--subset", "10%"}).out, ", seed "));
  expect_error({"verify", "store", "--subset", "0"}, 2, "usage", {"--subset 0", "10%"});
  expect_error({"verify", "store", "--subset", "half"}, 2, "usage", {"--subset half"});
  expect_error({"verify", "store", "--seed", "1"}, 2, "usage", {"--subset"});
  expect_error({"verify", "store", "--subset", "1%", "--seed", "x"}, 2, "usage", {"--seed x"});
}

TEST_F(VerifyCommandTest, ALimitedTimeThatIsEnoughChangesNothing) {
  const Result text = ckptool({"verify", "store", "--max-duration", "10m"});
  EXPECT_EQ(text.code, 0) << text;
  EXPECT_EQ(ckptool({"verify", "store", "--max-duration", "10m", "--json"}).json()["timed_out"],
            false);
  expect_error({"verify", "store", "--max-duration", "soon"}, 2, "invalid_argument", {"soon"});
}

TEST_F(VerifyCommandTest, ANewerFileIsNamedAndNotCalledDamaged) {
  fs::copy(fs::path(CKP_SOURCE_DIR) / "tests/golden/v1/newer-version.ckp", pack_of(2),
           fs::copy_options::overwrite_existing);
  const Result text = ckptool({"verify", "store"});
  EXPECT_EQ(text.code, 12) << text;
  EXPECT_TRUE(contains(text.out, "not checked: ")) << text;
  EXPECT_TRUE(contains(text.out, "no damage found")) << text;
}

TEST_F(VerifyCommandTest, ADamagedStoreFileNamesTheNextCommand) {
  flip_byte(store() / "STORE", 45);
  expect_error({"verify", "store"}, 4, "corrupt", {"STORE", "ckptool repair store --dry-run"});
}

// Not one that would find nothing to do.
TEST_F(VerifyCommandTest, AnAliasOfALostCheckpointLeadsToTheAliases) {
  ASSERT_EQ(ckptool({"promote", "store", "cnn@2", "production"}).code, 0);
  const std::string id = ckptool({"show", "store", "cnn@2", "--json"}).json()["checkpoint"]["id"];
  for (const auto& entry : fs::recursive_directory_iterator(store() / "runs")) {
    if (contains(entry.path().filename().string(), id)) flip_byte(entry.path(), 40'000);
  }
  ASSERT_EQ(ckptool({"repair", "store"}).code, 3);
  const Result found = ckptool({"verify", "store"});
  EXPECT_EQ(found.code, 4) << found;
  EXPECT_TRUE(contains(found.out, "alias production points at checkpoint " + id)) << found;
  EXPECT_TRUE(contains(found.out, "\nnext: ckptool aliases store\n")) << found;
  const nlohmann::json json = ckptool({"verify", "store", "--json"}).json();
  EXPECT_EQ(json["findings"][0]["alias"], true);
  EXPECT_EQ(json["findings"][0]["next"], "ckptool aliases store");
  EXPECT_TRUE(contains(ckptool({"aliases", "store"}).out, "gone"));
}

TEST_F(VerifyCommandTest, InterruptedItSaysThatItIsNotComplete) {
  if (!fs::exists("/proc/self/status")) GTEST_SKIP() << "needs /proc to see when to interrupt";
  std::vector<std::uint64_t> noise(4 << 20);
  std::mt19937_64 random(1);
  std::generate(noise.begin(), noise.end(), random);
  StateDict state;
  state.add("model/noise", contiguous_view(DType::int64, {4 << 20}, noise.data()));
  save_file(root() / "large.ckp", state);
  // It can have finished before the signal comes: then once more.
  Result result;
  for (int attempt = 0; attempt < 50 && result.code != 130; ++attempt) {
    result = interrupted_ckptool({"verify", "large.ckp", "--full", "--json"});
    ASSERT_TRUE(result.code == 130 || result.code == 0) << result;
  }
  EXPECT_EQ(result.code, 130) << result;
  EXPECT_EQ(result.json()["complete"], false);
  EXPECT_EQ(result.json()["clean"], false);
}

TEST_F(VerifyCommandTest, RebuildIndexAnswersAsBefore) {
  const nlohmann::json before = ckptool({"ls", "store", "--json"}).json();
  fs::remove_all(store() / "index");
  const Result rebuilt = ckptool({"rebuild-index", "store", "--json"});
  EXPECT_EQ(rebuilt.code, 0) << rebuilt;
  EXPECT_EQ(rebuilt.json()["runs"], 1);
  EXPECT_EQ(rebuilt.json()["checkpoints"], 3);
  EXPECT_EQ(ckptool({"ls", "store", "--json"}).json(), before);
}

TEST_F(VerifyCommandTest, RebuildIndexNamesWhatItCannotRead) {
  const fs::path pack = pack_of(1);
  flip_byte(pack, 3);  // its magic
  const Result rebuilt = ckptool({"rebuild-index", "store"});
  EXPECT_EQ(rebuilt.code, 4) << rebuilt;
  EXPECT_TRUE(contains(rebuilt.err, pack.filename().string())) << rebuilt;
  EXPECT_TRUE(contains(rebuilt.err, "ckptool verify")) << rebuilt;
  const Result json = ckptool({"rebuild-index", "store", "--json"});
  EXPECT_EQ(json.json()["checkpoints"], 2);
  EXPECT_EQ(json.json()["unreadable"].size(), 1u);
}

}  // namespace
}  // namespace ckp::test
