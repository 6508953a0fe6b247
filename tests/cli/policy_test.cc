// policy: what the store keeps, and what prune does by it.
#include "cli/fixture.h"

namespace ckp::test {
namespace {

class PolicyCommandTest : public CliTest {
 protected:
  void SetUp() override {
    Store made = Store::create(store());
    make_run(made, "cnn", 6);
    make_run(made, "wide", 3);
  }
  std::size_t left(const std::string& run) const {
    return ckptool({"ls", "store", run, "--json"}).json()["checkpoints"].size();
  }
};

TEST_F(PolicyCommandTest, IsSetShownReplacedAndCleared) {
  const Result none = ckptool({"policy", "store"});
  EXPECT_EQ(none.code, 0);
  EXPECT_TRUE(contains(none.out, "no policy")) << none;
  EXPECT_TRUE(contains(none.out, "ckptool policy")) << none;
  const Result set = ckptool({"policy", "store", "--keep-last", "3", "--keep-best",
                              "2:val/loss:min", "--keep-daily", "7", "--keep-within", "36h",
                              "--keep-every", "10e", "--keep-every", "500s", "--keep-tag", "a b"});
  EXPECT_EQ(set.code, 0) << set;
  const std::string line =
      "--keep-last 3 --keep-best 2:val/loss:min --keep-every 10e --keep-every 500s "
      "--keep-within 36h --keep-daily 7 --keep-tag 'a b'";
  EXPECT_TRUE(contains(set.out, line)) << set;
  EXPECT_TRUE(contains(set.out, "--dry-run")) << set;
  EXPECT_TRUE(contains(ckptool({"policy", "store"}).out, line));
  EXPECT_EQ(ckptool({"policy", "store", "--run", "cnn", "--keep-last", "1", "-q"}).out, "");
  const nlohmann::json all = ckptool({"policy", "store", "--json"}).json();
  EXPECT_EQ(all["store"]["options"].size(), 14u);
  EXPECT_EQ(all["store"]["options"][13], "a b");
  EXPECT_TRUE(contains(all["store"]["who"], "@"));
  EXPECT_EQ(all["runs"]["cnn"]["options"], (std::vector<std::string>{"--keep-last", "1"}));
  const nlohmann::json cnn = ckptool({"policy", "store", "--run", "cnn", "--json"}).json();
  EXPECT_TRUE(cnn["store"].is_null()) << cnn;
  EXPECT_EQ(ckptool({"policy", "store", "--clear"}).code, 0);
  EXPECT_TRUE(ckptool({"policy", "store", "--json"}).json()["store"].is_null());
  EXPECT_EQ(ckptool({"policy", "store", "--run", "cnn", "--clear"}).code, 0);
  EXPECT_TRUE(contains(ckptool({"policy", "store"}).out, "no policy"));
}

TEST_F(PolicyCommandTest, WhatMakesNoSenseIsRefused) {
  expect_error({"policy", "store", "--keep-last", "0"}, 2, "invalid_argument", {"no rule"});
  expect_error({"policy", "store", "--keep-daily", "x"}, 2, "usage", {"--keep-daily"});
  expect_error({"policy", "store", "--keep-within", "soon"}, 2, "invalid_argument", {"7d"});
  expect_error({"policy", "store", "--clear", "--keep-last", "1"}, 2, "usage", {"--clear"});
  expect_error({"policy", "store", "--run", "nobody", "--keep-last", "1"}, 1, "not_found",
               {"nobody"});
  expect_error({"policy", "store", "--run", "nobody"}, 1, "not_found", {"nobody"});
  expect_error({"policy", "store", "cnn", "--keep-last", "1"}, 2, "usage", {"cnn"});
  expect_error({"policy", "nowhere", "--keep-last", "1"}, 10, "no_store", {"nowhere"});
  EXPECT_TRUE(contains(ckptool({"policy", "store"}).out, "no policy"));
}

TEST_F(PolicyCommandTest, PruneWithoutRulesGoesByItAndSaysSo) {
  ckptool({"policy", "store", "--keep-last", "2"});
  ckptool({"policy", "store", "--run", "wide", "--keep-daily", "1"});
  const nlohmann::json plan = ckptool({"prune", "store", "-n", "--json"}).json();
  EXPECT_EQ(plan["by_stored_policy"], true);
  const std::uint64_t before = bytes_below(store() / "runs");
  const Result done = ckptool({"prune", "store"});
  EXPECT_EQ(done.code, 0) << done;
  EXPECT_TRUE(contains(done.out, "by the store's policy: --keep-last 2\n")) << done;
  EXPECT_TRUE(contains(done.out, "by the policy of wide: --keep-daily 1\n")) << done;
  EXPECT_TRUE(contains(done.out, "deleted 6 of 9 checkpoints")) << done;
  EXPECT_EQ(before - bytes_below(store() / "runs"), plan["bytes_freed"].get<std::uint64_t>());
  EXPECT_EQ(left("cnn"), 2u);
  EXPECT_EQ(left("wide"), 1u);
  const nlohmann::json given =
      ckptool({"prune", "store", "--keep-last", "1", "-n", "--json"}).json();
  EXPECT_EQ(given["by_stored_policy"], false);
  EXPECT_EQ(given["entries"][0]["action"], "delete") << "rules on the line count alone";
}

}  // namespace
}  // namespace ckp::test
