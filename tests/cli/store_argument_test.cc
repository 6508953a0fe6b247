// Where ckptool finds its store, and what it says when there is none.
#include "ckp/format/store_identity.h"
#include "cli/fixture.h"

namespace ckp::test {
namespace {

using StoreArgumentTest = CliTest;

TEST_F(StoreArgumentTest, InitMakesAStoreOnce) {
  const Result made = ckptool({"init", "store", "--json"});
  EXPECT_EQ(made.code, 0) << made;
  EXPECT_EQ(made.json()["uuid"], Store::open(store()).uuid().hex());
  expect_error({"init", "store"}, 1, "already_exists", {"store"});
}

TEST_F(StoreArgumentTest, InitRefusesADirectoryWithOtherThingsInIt) {
  write_bytes(root() / "notes.txt", "mine");
  expect_error({"init", root().string()}, 2, "invalid_argument", {root().string()});
  EXPECT_EQ(read_bytes(root() / "notes.txt"), "mine");
}

TEST_F(StoreArgumentTest, NoStoreExitsWith10AndSaysWhatToType) {
  for (const std::string command : {"runs", "ls", "verify", "rebuild-index"}) {
    expect_error({command, "./nowhere"}, 10, "no_store", {"./nowhere", "ckptool init ./nowhere"});
  }
  expect_error({"runs"}, 10, "no_store", {root().string(), "ckptool init", "CKPSTORE"});
  expect_error({"runs", "nowhere"}, 10, "no_store", {"nowhere"});
  expect_error({"ls", "nowhere"}, 10, "no_store", {"nowhere", root().string()});
  expect_error({"show", "nowhere", "cnn"}, 10, "no_store", {"ckptool init nowhere"});
  expect_error({"show", "cnn@best:val/loss:min"}, 10, "no_store", {root().string()});
  expect_error({"runs", "--store", "nowhere"}, 10, "no_store", {"--store", "nowhere"});
  expect_error({"prune", "./nowhere", "--keep-last", "1"}, 10, "no_store", {"./nowhere"});
}

TEST_F(StoreArgumentTest, VariableWithoutStoreIsNamed) {
  const Result result = ckptool({"runs"}, {.variables = {{"CKPSTORE", "/nowhere/at/all"}}});
  EXPECT_EQ(result.code, 10) << result;
  EXPECT_NE(result.err.find("$CKPSTORE: /nowhere/at/all"), std::string::npos) << result;
}

TEST_F(StoreArgumentTest, OrderOfThePlacesWhereItLooks) {
  for (const std::string name : {"first", "option", "variable", "here"}) {
    Store made = Store::create(root() / name);
    make_run(made, "run-of-" + name, 1);
  }
  const Surroundings around{.directory = root() / "here" / "runs",
                            .variables = {{"CKPSTORE", (root() / "variable").string()}}};
  const std::string first = (root() / "first").string();
  const std::string option = (root() / "option").string();
  const auto only_run = [&](const std::vector<std::string>& arguments, const Surroundings& where) {
    const Result result = ckptool(arguments, where);
    EXPECT_EQ(result.code, 0) << result;
    return result.json()["runs"][0].value("name", "");
  };
  EXPECT_EQ(only_run({"runs", first, "--json"}, around), "run-of-first");
  EXPECT_EQ(only_run({"runs", "--store", option, "--json"}, around), "run-of-option");
  EXPECT_EQ(only_run({"runs", "--json"}, around), "run-of-variable");
  EXPECT_EQ(only_run({"runs", "--json"}, {.directory = around.directory}), "run-of-here");
}

TEST_F(StoreArgumentTest, WithoutStoreTheFirstArgumentIsTheRun) {
  Store made = Store::create(store());
  make_run(made, "cnn", 2);
  const Surroundings inside{.directory = store()};
  const Result listed = ckptool({"ls", "cnn", "--json"}, inside);
  EXPECT_EQ(listed.code, 0) << listed;
  EXPECT_EQ(listed.json()["checkpoints"].size(), 2u);
  const Result best = ckptool({"best", "cnn", "val/loss", "--json"}, inside);
  EXPECT_EQ(best.code, 0) << best;
  const Result shown = ckptool({"show", "cnn@best:val/loss:min", "--json"}, inside);
  EXPECT_EQ(shown.code, 0) << shown;
}

TEST_F(StoreArgumentTest, StoreOfANewerFormatExitsWith12AndIsLeftAlone) {
  Store::create(store());
  const std::string before = read_bytes(store() / "STORE");
  format::StoreIdentity identity = format::decode_store_identity(std::as_bytes(std::span(before)));
  identity.versions.write_version = 9;
  identity.versions.read_version = 9;
  const std::vector<std::byte> newer = format::encode_store_identity(identity);
  const std::string bytes(reinterpret_cast<const char*>(newer.data()), newer.size());
  write_bytes(store() / "STORE", bytes);
  expect_error({"runs", store().string()}, 12, "newer_format", {"9"});
  expect_error({"verify", store().string()}, 12, "newer_format", {"9"});
  expect_error({"prune", store().string(), "--keep-last", "1"}, 12, "newer_format", {"9"});
  EXPECT_EQ(read_bytes(store() / "STORE"), bytes);
}

}  // namespace
}  // namespace ckp::test
