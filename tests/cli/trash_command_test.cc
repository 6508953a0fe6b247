// --trash and undelete: what the commands say, and that it is so.
#include "cli/fixture.h"

namespace ckp::test {
namespace {

class TrashCommandTest : public CliTest {
 protected:
  void SetUp() override {
    Store made = Store::create(store());
    saved_ = make_run(made, "cnn", 4);
    make_run(made, "wide", 2);
  }
  nlohmann::json trash() const {
    return ckptool({"ls", "store", "--trash", "--json"}).json()["trash"];
  }
  nlohmann::json listed() const {
    return ckptool({"ls", "store", "cnn", "--json"}).json()["checkpoints"];
  }
  std::vector<CheckpointRecord> saved_;
};

TEST_F(TrashCommandTest, ThereAndBack) {
  const nlohmann::json before = listed();
  EXPECT_EQ(ckptool({"ls", "store", "--trash"}).out, "nothing in the trash\n");
  const std::vector<std::string> prune{"prune", "store", "cnn", "--keep-last=1", "--trash=7d"};
  std::vector<std::string> rehearsal = prune;
  rehearsal.emplace_back("-n");
  const Result planned = ckptool(rehearsal);
  EXPECT_TRUE(contains(planned.out, "would move to the trash 3 of 4 checkpoints, would free 0"))
      << planned;
  EXPECT_TRUE(contains(planned.out, "in the trash: 3 checkpoints, ")) << planned;
  EXPECT_TRUE(contains(planned.out, " are shared with others")) << planned;
  EXPECT_EQ(ckptool({"ls", "store", "--trash"}).out, "nothing in the trash\n");
  const Result done = ckptool(prune);
  EXPECT_EQ(done.code, 0) << done;
  EXPECT_TRUE(contains(done.out, "moved to the trash 3 of 4 checkpoints, freed 0")) << done;

  EXPECT_EQ(listed().size(), 1u);
  const Result text = ckptool({"ls", "store", "cnn", "--trash"});
  EXPECT_TRUE(contains(text.out, saved_[0].id.hex().substr(0, 8))) << text;
  EXPECT_TRUE(contains(text.out, "UNTIL")) << text;
  ASSERT_EQ(trash().size(), 3u);
  EXPECT_EQ(trash()[0]["id"], saved_[0].id.hex());
  EXPECT_GT(trash()[0]["trash_until"], trash()[0]["time"]);
  EXPECT_EQ(ckptool({"ls", "store", "wide", "--trash"}).out, "nothing in the trash\n");
  EXPECT_TRUE(contains(ckptool({"stats", "store"}).out, "in the trash"));

  const Result one = ckptool({"undelete", "store", "cnn@2"});
  EXPECT_EQ(one.code, 0) << one;
  EXPECT_TRUE(contains(one.out, "brought back cnn@" + saved_[1].id.hex().substr(0, 8))) << one;
  EXPECT_TRUE(contains(one.out, "(epoch 2, step 20)")) << one;
  const Result rest = ckptool({"undelete", "store", "--all", "--json"});
  EXPECT_EQ(rest.json()["undeleted"].size(), 2u);
  EXPECT_EQ(listed(), before);
  EXPECT_EQ(ckptool({"undelete", "store", "--all"}).out, "nothing in the trash\n");
  EXPECT_EQ(ckptool({"verify", "store", "--full"}).code, 0);
}

TEST_F(TrashCommandTest, TheDryRunIsExact) {
  ckptool({"prune", "store", "wide", "--keep-last=1", "--trash=30m"});
  for (const std::string option : {"--trash=7d", "--empty-trash"}) {
    std::vector<std::string> arguments{"prune", "store", "--keep-last=2", option, "--json", "-n"};
    nlohmann::json planned = ckptool(arguments).json();
    arguments.pop_back();
    const std::uint64_t before = bytes_below(store() / "runs");
    nlohmann::json effect = ckptool(arguments).json();
    EXPECT_EQ(before - bytes_below(store() / "runs"), effect["bytes_freed"].get<std::uint64_t>());
    for (nlohmann::json* each : {&planned, &effect}) {
      each->erase("dry_run");
      // By the second in which it was asked.
      for (nlohmann::json& entry : (*each)["entries"]) entry.erase("trash_until");
    }
    EXPECT_EQ(planned, effect) << option;
  }
}

TEST_F(TrashCommandTest, EmptyingIt) {
  EXPECT_EQ(ckptool({"rm", "store", "cnn@1", "cnn@2", "--yes", "--trash=7d", "-q"}).code, 0);
  const std::uint64_t before = bytes_below(store() / "runs");
  const Result plan = ckptool({"prune", "store", "--empty-trash", "-n"});
  EXPECT_TRUE(contains(plan.out, "2 checkpoints would leave the trash for good")) << plan;
  EXPECT_EQ(trash().size(), 2u);
  const Result done = ckptool({"prune", "store", "--empty-trash", "--json"});
  EXPECT_EQ(done.json()["expired"], 2);
  EXPECT_EQ(before - bytes_below(store() / "runs"),
            done.json()["bytes_freed"].get<std::uint64_t>());
  EXPECT_TRUE(trash().empty());
  EXPECT_EQ(listed().size(), 2u);
  EXPECT_EQ(ckptool({"verify", "store", "--full"}).code, 0);
}

TEST_F(TrashCommandTest, RmSaysHowToBringItBack) {
  expect_error({"rm", "store", "cnn@1", "--trash=7d"}, 2, "usage", {"--yes"});
  const Result done = ckptool({"rm", "store", "cnn@1", "--trash=7d", "--yes"});
  EXPECT_TRUE(contains(done.out, "moved to the trash for 7d")) << done;
  const std::string way = "bring back: ckptool undelete store cnn@";
  ASSERT_TRUE(contains(done.out, way)) << done;
  expect_error({"show", "store", "cnn@1"}, 1, "not_found", {"--trash"});
  expect_error({"show", "store", "@" + saved_[0].id.hex()}, 1, "not_found",
               {"it is in the trash: ckptool undelete"});
  const std::string address = "cnn@" + saved_[0].id.hex();
  EXPECT_EQ(ckptool({"undelete", "store", address, "-q"}).out, "");
  EXPECT_EQ(ckptool({"show", "store", "cnn@1"}).code, 0);
  expect_error({"rm", "store", "--run", "cnn", "--yes", "--trash=7d"}, 2, "invalid_argument",
               {"nothing was deleted"});
}

TEST_F(TrashCommandTest, WhatMakesNoSense) {
  expect_error({"undelete", "store"}, 2, "usage", {"--all"});
  expect_error({"undelete", "store", "cnn@1", "--all"}, 2, "usage", {"--all"});
  expect_error({"undelete", "store", "cnn"}, 2, "invalid_argument", {"ls store cnn --trash"});
  expect_error({"undelete", "store", "cnn@1"}, 1, "not_found", {"ls store --trash"});
  expect_error({"undelete", "store", "@production"}, 1, "not_found", {"ls store --trash"});
  expect_error({"undelete", "store", "cmn@1"}, 1, "not_found", {"cnn"});
  expect_error({"prune", "store", "--keep-last=1", "--trash=soon"}, 2, "invalid_argument",
               {"soon", "7d"});
  expect_error({"prune", "store", "--trash=7d"}, 2, "invalid_argument", {"--keep-last"});
  expect_error({"ls", "store", "--trash", "--all"}, 2, "usage", {"--trash"});
  expect_error({"ls", "store", "--trash", "--where", "epoch > 1"}, 2, "usage", {"--trash"});
  expect_error({"undelete", "nowhere/store", "--all"}, 10, "no_store", {"ckptool init"});
}

}  // namespace
}  // namespace ckp::test
