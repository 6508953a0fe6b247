// convert, import, digest.
#include "cli/fixture.h"

namespace ckp::test {
namespace fs = std::filesystem;
namespace {

class ConvertCommandTest : public CliTest {
 protected:
  void SetUp() override {
    Store made = Store::create(store());
    saved_ = make_run(made, "cnn", 4);
  }
  std::string digest(const std::vector<std::string>& what) const {
    std::vector<std::string> arguments{"digest", "--json"};
    arguments.insert(arguments.end(), what.begin(), what.end());
    const Result result = ckptool(arguments);
    EXPECT_EQ(result.code, 0) << result;
    return result.json().value("xxh3_128", "");
  }
  std::vector<CheckpointRecord> saved_;
};

TEST_F(ConvertCommandTest, ToSafetensorsAndBackKeepsEveryBit) {
  const Result out = ckptool({"convert", "store", "cnn@best", "model.safetensors"});
  EXPECT_EQ(out.code, 0) << out;
  EXPECT_NE(out.out.find("left out: optimizer"), std::string::npos) << out;
  const std::string bytes = read_bytes(root() / "model.safetensors");
  EXPECT_NE(bytes.find("\"fc.weight\""), std::string::npos) << "PyTorch's names, no prefix";
  EXPECT_EQ(bytes.find("\"model/fc.weight\""), std::string::npos);
  const Result in = ckptool({"convert", "model.safetensors", "back.ckp"});
  EXPECT_EQ(in.code, 0) << in;
  EXPECT_EQ(digest({"store", "cnn@best", "--part", "model"}),
            digest({"back.ckp", "--part", "model"}));
  const Result again = ckptool({"convert", "back.ckp", "again.safetensors", "--json"});
  EXPECT_EQ(again.code, 0) << again;
  EXPECT_EQ(again.json()["tensors"], 3);
}

TEST_F(ConvertCommandTest, CompressionOfWhatComesFromSafetensors) {
  EXPECT_EQ(ckptool({"convert", "store", "cnn@1", "model.safetensors"}).code, 0);
  std::map<std::string, int> sizes;
  for (const std::string level : {"none", "fast", "balanced", "archive"}) {
    const Result result =
        ckptool({"convert", "model.safetensors", level + ".ckp", "--compression", level, "--json"});
    EXPECT_EQ(result.code, 0) << result;
    sizes[level] = result.json()["bytes"];
    EXPECT_EQ(digest({level + ".ckp"}), digest({"none.ckp"}));
  }
  EXPECT_LE(sizes["fast"], sizes["none"]);
  EXPECT_LE(sizes["balanced"], sizes["fast"]);
  EXPECT_LE(sizes["archive"], sizes["balanced"]);
  expect_error({"convert", "model.safetensors", "x.ckp", "--compression", "best"}, 2, "usage",
               {"none, fast, balanced or archive"});
  expect_error({"convert", "store", "cnn@1", "x.ckp", "--compression", "archive"}, 2, "usage",
               {"copied as they are"});
}

TEST_F(ConvertCommandTest, PartsAndAll) {
  EXPECT_EQ(ckptool({"convert", "store", "cnn@1", "all.safetensors", "--all", "--json"})
                .json()["tensors"],
            4);
  EXPECT_EQ(
      ckptool({"convert", "store", "cnn@1", "part.safetensors", "--part", "optimizer", "--json"})
          .json()["tensors"],
      1);
  expect_error({"convert", "store", "cnn@1", "x.safetensors", "--part", "ema"}, 1, "not_found",
               {"ema", "model"});
  expect_error({"convert", "store", "cnn@1", "x.ckp", "--all"}, 2, "usage", {"--all"});
}

TEST_F(ConvertCommandTest, APackOfAStoreBecomesStandalone) {
  // Epoch 2 shares the embedding with epoch 1.
  const nlohmann::json shown = ckptool({"show", "store", "cnn@2", "--json"}).json();
  fs::copy_file(root() / shown["file"].get<std::string>(), root() / "alone.ckp");
  expect_error({"show", "alone.ckp"}, 2, "invalid_argument",
               {saved_[0].id.hex(), "ckptool convert"});
  const Result out = ckptool({"convert", "store", "cnn@2", "whole.ckp"});
  EXPECT_EQ(out.code, 0) << out;
  EXPECT_EQ(digest({"whole.ckp"}), digest({"store", "cnn@2"}));
  EXPECT_EQ(ckptool({"verify", "whole.ckp", "--full"}).code, 0);
}

TEST_F(ConvertCommandTest, ImportTakesAStandaloneFile) {
  make_file(root() / "pretrained.ckp", 7);
  const Result taken = ckptool({"import", "store", "pretrained.ckp", "--run", "base", "--json"});
  EXPECT_EQ(taken.code, 0) << taken;
  EXPECT_EQ(taken.json()["run"], "base");
  EXPECT_EQ(digest({"store", "base@7"}), digest({"pretrained.ckp"}));
  EXPECT_TRUE(fs::exists(root() / "pretrained.ckp"));
  const Result unnamed = ckptool({"import", "../pretrained.ckp", "--json"}, {.directory = store()});
  EXPECT_EQ(unnamed.code, 0) << unnamed;
  EXPECT_EQ(unnamed.json()["run"], "pretrained");
  expect_error({"import", "store", "absent.ckp"}, 1, "not_found", {"absent.ckp"});
}

TEST_F(ConvertCommandTest, NothingIsOverwrittenWithoutForce) {
  write_bytes(root() / "mine.safetensors", "mine");
  expect_error({"convert", "store", "cnn@1", "mine.safetensors"}, 1, "already_exists",
               {"mine.safetensors", "--force"});
  EXPECT_EQ(read_bytes(root() / "mine.safetensors"), "mine");
  EXPECT_EQ(ckptool({"convert", "store", "cnn@1", "mine.safetensors", "--force"}).code, 0);
  EXPECT_NE(read_bytes(root() / "mine.safetensors"), "mine");
}

// Whatever it becomes, the first tensor that is hit is named, and what to type next.
TEST_F(ConvertCommandTest, ADamagedTensorIsNamed) {
  ASSERT_EQ(ckptool({"convert", "store", "cnn@4", "whole.ckp"}).code, 0);
  const std::string pack = ckptool({"show", "store", "cnn@4", "--json"}).json()["file"];
  flip_byte(root() / pack, 40'000);
  flip_byte(root() / "whole.ckp", 40'000);
  for (const std::string target : {"out.ckp", "out.safetensors"}) {
    expect_error({"convert", "store", "cnn@4", target}, 4, "corrupt",
                 {"; hits tensor model/fc.weight; run: ckptool verify store"});
    expect_error({"convert", "whole.ckp", target}, 4, "corrupt",
                 {"; hits tensor model/", "; run: ckptool verify whole.ckp"});
    EXPECT_FALSE(fs::exists(root() / target));
  }
}

// Not even with --force: it would be a checkpoint overwritten.
TEST_F(ConvertCommandTest, NothingIsWrittenIntoAStore) {
  const std::string pack = ckptool({"show", "store", "cnn@4", "--json"}).json()["file"];
  fs::create_directory_symlink((root() / pack).parent_path(), root() / "link");
  ASSERT_EQ(ckptool({"convert", "store", "cnn@1", "model.safetensors"}).code, 0);
  for (const std::string& target :
       {pack, std::string("store/new.ckp"), "link/" + fs::path(pack).filename().string()}) {
    for (const bool in : {false, true}) {
      std::vector<std::string> arguments{"convert", "store", "cnn@3", target, "--force"};
      if (in) arguments = {"convert", "model.safetensors", target, "--force"};
      expect_error(arguments, 2, "invalid_argument", {target, "inside the store"});
    }
  }
  fs::remove(store() / "STORE");
  expect_error({"convert", "model.safetensors", pack, "--force"}, 2, "invalid_argument",
               {"inside the store"});
  EXPECT_EQ(ckptool({"repair", "store"}).code, 0);
  EXPECT_EQ(ckptool({"verify", "store", "--full"}).code, 0);
  EXPECT_FALSE(fs::exists(store() / "new.ckp"));
}

TEST_F(ConvertCommandTest, PicklesAreRecognisedAndRefusedWithTheLineOfPython) {
  write_bytes(root() / "new.pt",
              std::string("PK\x03\x04", 4) + std::string(60, '\0') + "archive/data.pkl");
  write_bytes(root() / "old.pth",
              std::string("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9", 9) + std::string(40, '\0'));
  for (const std::string name : {"new.pt", "old.pth"}) {
    for (const std::string command : {"convert", "import"}) {
      std::vector<std::string> arguments{command, name};
      if (command == "convert") arguments.emplace_back("out.ckp");
      if (command == "import") arguments.insert(arguments.begin() + 1, "store");
      expect_error(arguments, 1, "unsupported", {"torch.load", "safetensors", name});
    }
  }
  expect_error({"convert", "store", "cnn@1", "out.pt"}, 1, "unsupported", {"safetensors"});
  EXPECT_FALSE(fs::exists(root() / "out.ckp"));
}

TEST_F(ConvertCommandTest, LyingSafetensorsAreRefusedAndLeaveNoFile) {
  const std::string a = R"("a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]})";
  const std::string overlapping = R"("b":{"dtype":"F32","shape":[4],"data_offsets":[8,24]})";
  const std::string too_large = R"("b":{"dtype":"F32","shape":[5],"data_offsets":[16,32]})";
  const std::string beyond = R"("b":{"dtype":"F32","shape":[4],"data_offsets":[16,32]})";
  write_safetensors_file(root() / "overlap.safetensors", "{" + a + "," + overlapping + "}", 24);
  write_safetensors_file(root() / "shape.safetensors", "{" + a + "," + too_large + "}", 32);
  write_safetensors_file(root() / "short.safetensors", "{" + a + "," + beyond + "}", 20);
  write_safetensors_file(root() / "twice.safetensors", "{" + a + "," + a + "}", 16);
  for (const std::string name : {"overlap", "shape", "short", "twice"}) {
    expect_error({"convert", name + ".safetensors", name + ".ckp"}, 4, "corrupt",
                 {name + ".safetensors"});
    EXPECT_FALSE(fs::exists(root() / (name + ".ckp"))) << name;
  }
  // A header longer than the file.
  std::string lying = read_bytes(root() / "twice.safetensors");
  lying[5] = '\x7f';
  write_bytes(root() / "lying.safetensors", lying);
  const Result result = ckptool({"convert", "lying.safetensors", "lying.ckp"});
  EXPECT_EQ(result.code, 4) << result;
  EXPECT_NE(result.err.find("lying.safetensors"), std::string::npos) << result;
}

TEST_F(ConvertCommandTest, DestinationsMustSayWhatTheyAre) {
  expect_error({"convert", "store", "cnn@1", "model.bin"}, 2, "usage", {".ckp", ".safetensors"});
  expect_error({"convert", "store", "out.ckp"}, 2, "usage", {"ADDRESS"});
  expect_error({"convert", "store"}, 2, "usage", {"DEST"});
  expect_error({"convert", "absent.ckp", "out.safetensors"}, 1, "not_found", {"absent.ckp"});
}

TEST_F(ConvertCommandTest, DigestSaysWhatDiffers) {
  EXPECT_NE(digest({"store", "cnn@1"}), digest({"store", "cnn@2"}));
  const Result text = ckptool({"digest", "store", "cnn@1"});
  EXPECT_NE(text.out.find("  model/fc.weight\n"), std::string::npos) << text;
  EXPECT_NE(text.out.find("  total, 4 tensors\n"), std::string::npos) << text;
  const nlohmann::json one = ckptool({"digest", "store", "cnn@1", "--json"}).json();
  const nlohmann::json two = ckptool({"digest", "store", "cnn@2", "--json"}).json();
  for (std::size_t i = 0; i < one["tensors"].size(); ++i) {
    const std::string name = one["tensors"][i]["name"];
    const bool changes = name == "model/fc.weight" || name == "model/fc.bias";
    EXPECT_EQ(one["tensors"][i] != two["tensors"][i], changes) << name;
  }
  expect_error({"digest", "store", "cnn@1", "--part", "ema"}, 1, "not_found", {"model"});
}

}  // namespace
}  // namespace ckp::test
