// promote, aliases, and addresses that are aliases.
#include <fstream>

#include "cli/fixture.h"

namespace ckp::test {
namespace {

class AliasCommandTest : public CliTest {
 protected:
  void SetUp() override {
    Store made = Store::create(store());
    saved_ = make_run(made, "cnn", 4);
  }
  std::string id(std::size_t epoch) const { return saved_[epoch - 1].id.hex(); }
  std::string shown(const std::vector<std::string>& arguments) const {
    std::vector<std::string> all{"show", "store", "--json"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    const Result result = ckptool(all);
    EXPECT_EQ(result.code, 0) << result;
    return result.json()["checkpoint"]["id"];
  }
  std::vector<CheckpointRecord> saved_;
};

TEST_F(AliasCommandTest, PromotesListsAndTellsTheHistory) {
  EXPECT_EQ(ckptool({"aliases", "store"}).out, "no aliases\n");
  const Result first = ckptool({"promote", "store", "cnn@2", "production", "--note", "passed\x1b",
                                "--meta", "region=eu", "--meta", "url=http://a/?b=c"});
  EXPECT_EQ(first.code, 0) << first;
  EXPECT_TRUE(contains(first.out, "production: - -> " + id(2).substr(0, 8))) << first;
  const nlohmann::json second =
      ckptool({"promote", "store", "cnn@best", "@production", "--json"}).json();
  EXPECT_EQ(second["from"], id(2));
  EXPECT_EQ(second["to"], id(3));
  EXPECT_EQ(ckptool({"promote", "store", "@production", "staging", "-q"}).out, "");

  const Result list = ckptool({"aliases", "store"});
  EXPECT_TRUE(contains(list.out, "cnn@" + id(3).substr(0, 8))) << list;
  EXPECT_TRUE(contains(list.out, "staging")) << list;
  EXPECT_EQ(ckptool({"aliases", "store", "--json"}).json().size(), 2u);

  const Result history = ckptool({"aliases", "store", "production"});
  EXPECT_TRUE(contains(history.out, "passed\\x1b")) << history;
  EXPECT_TRUE(contains(history.out, "region=eu, url=http://a/?b=c")) << history;
  const nlohmann::json changes = ckptool({"aliases", "store", "@production", "--json"}).json();
  ASSERT_EQ(changes.size(), 2u);
  EXPECT_EQ(changes[0]["action"], "promoted");
  EXPECT_EQ(changes[0]["metadata"]["region"], "eu");
  EXPECT_TRUE(contains(changes[0]["who"], "@"));

  const nlohmann::json back =
      ckptool({"promote", "store", "--rollback", "production", "--json"}).json();
  EXPECT_EQ(back["action"], "rolled_back");
  EXPECT_EQ(back["to"], id(2));
  EXPECT_EQ(ckptool({"promote", "store", "--remove", "staging"}).code, 0);
  EXPECT_EQ(ckptool({"aliases", "store", "--json"}).json().size(), 1u);
}

TEST_F(AliasCommandTest, EveryCommandTakesAnAlias) {
  ASSERT_EQ(ckptool({"promote", "store", "cnn@2", "production"}).code, 0);
  EXPECT_EQ(shown({"@production"}), id(2));
  EXPECT_EQ(ckptool({"digest", "store", "@production"}).out,
            ckptool({"digest", "store", "cnn@2"}).out);
  EXPECT_EQ(ckptool({"convert", "--store", "store", "@production", "out.safetensors"}).code, 0);
  expect_error({"rm", "store", "@production", "--yes"}, 2, "invalid_argument",
               {"alias production", "ckptool promote", "--remove"});
  expect_error({"rm", "store", "--run", "cnn", "--yes"}, 2, "invalid_argument",
               {"alias production"});
  EXPECT_EQ(shown({"cnn@2"}), id(2));
}

TEST_F(AliasCommandTest, ShowsWhatItWasThen) {
  ASSERT_EQ(ckptool({"promote", "store", "cnn@1", "production"}).code, 0);
  ASSERT_EQ(ckptool({"promote", "store", "cnn@2", "production"}).code, 0);
  EXPECT_EQ(shown({"@production", "--at", "2099-01-01T00:00"}), id(2));
  EXPECT_EQ(shown({"@production", "--at", "2099-01-01"}), id(2));
  EXPECT_EQ(shown({"@production", "--at", "2099-01-01 00:00:30Z"}), id(2));
  expect_error({"show", "store", "@production", "--at", "2001-01-01T00:00Z"}, 1, "not_found",
               {"no alias 'production'", "2001-01-01"});
  for (const std::string wrong : {"yesterday", "2026-02-30", "2026-01-01T25:00", "2026-01-01x"}) {
    expect_error({"show", "store", "@production", "--at", wrong}, 2, "usage", {"2026-10-03T14:00"});
  }
  expect_error({"show", "store", "cnn@1", "--at", "2026-01-01"}, 2, "usage", {"@ALIAS"});
}

TEST_F(AliasCommandTest, PruneKeepsItAndSaysSo) {
  ASSERT_EQ(ckptool({"promote", "store", "cnn@1", "production"}).code, 0);
  const Result plan = ckptool({"prune", "store", "--keep-last", "1", "--dry-run"});
  EXPECT_TRUE(contains(plan.out, "alias production")) << plan;
  ASSERT_EQ(ckptool({"prune", "store", "--keep-last", "1"}).code, 0);
  EXPECT_EQ(shown({"@production"}), id(1));
  EXPECT_EQ(ckptool({"ls", "store", "cnn", "--json"}).json()["checkpoints"].size(), 2u);
}

TEST_F(AliasCommandTest, WhatMakesNoSenseIsRefused) {
  expect_error({"promote", "store", "cnn@1"}, 2, "usage", {"ALIAS"});
  expect_error({"promote", "store", "cnn@1", "latest"}, 2, "invalid_argument", {"latest"});
  expect_error({"promote", "store", "cnn@1", "production", "--meta", "region"}, 2, "usage",
               {"KEY=VALUE"});
  expect_error({"promote", "store", "--rollback", "a", "--remove", "a"}, 2, "usage", {"--remove"});
  expect_error({"promote", "store", "--rollback", "production"}, 1, "not_found",
               {"no alias 'production'"});
  expect_error({"show", "store", "@production"}, 1, "not_found", {"no alias 'production'"});
  expect_error({"aliases", "store", "production"}, 1, "not_found", {"production"});
}

TEST_F(AliasCommandTest, DamageToTheFileIsNamedAndMended) {
  ASSERT_EQ(ckptool({"promote", "store", "cnn@1", "production"}).code, 0);
  flip_byte(store() / "marks", 200);
  EXPECT_EQ(shown({"@production"}), id(1));
  const Result verify = ckptool({"verify", "store"});
  EXPECT_EQ(verify.code, 4) << verify;
  EXPECT_TRUE(contains(verify.out + verify.err, "marks")) << verify;
  const Result mended = ckptool({"repair", "store"});
  EXPECT_EQ(mended.code, 0) << mended;
  EXPECT_TRUE(contains(mended.out, "from its other copy")) << mended;
  std::filesystem::remove(store() / "marks");
  expect_error({"show", "store", "@production"}, 4, "corrupt", {"marks", "ckptool repair"});
  const Result lost = ckptool({"repair", "store"});
  EXPECT_EQ(lost.code, 3) << lost;
  EXPECT_TRUE(contains(lost.out, "ckptool promote")) << lost;
}

}  // namespace
}  // namespace ckp::test
