// tag, metric and note: what is said of a checkpoint or a run after the save.
#include "cli/fixture.h"

namespace ckp::test {
namespace {

class LaterFactCommandTest : public CliTest {
 protected:
  void SetUp() override {
    Store made = Store::create(store());
    saved_ = make_run(made, "cnn", 4);
  }
  std::string id(std::size_t epoch) const { return saved_[epoch - 1].id.hex(); }
  std::string address(std::size_t epoch) const { return "cnn@" + id(epoch).substr(0, 8); }
  nlohmann::json shown(const std::string& address) const {
    const Result result = ckptool({"show", "store", address, "--json"});
    EXPECT_EQ(result.code, 0) << result;
    return result.json();
  }
  std::vector<CheckpointRecord> saved_;
};

TEST_F(LaterFactCommandTest, ATagIsGivenChangedAndTakenAway) {
  const Result tagged = ckptool({"tag", "store", "cnn@2", "reviewed", "paper=figure 3"});
  EXPECT_EQ(tagged.code, 0) << tagged;
  EXPECT_EQ(tagged.out, address(2) + ": tags paper=figure 3, reviewed\n");
  EXPECT_EQ(shown("cnn@2")["checkpoint"]["tags"]["reviewed"], true);
  const Result found = ckptool({"ls", "store", "--where", "tags.paper like 'fig%'", "--json"});
  ASSERT_EQ(found.json()["checkpoints"].size(), 1u) << found;
  EXPECT_EQ(found.json()["checkpoints"][0]["id"], id(2));
  const nlohmann::json changed =
      ckptool({"tag", "store", "cnn@2", "--remove", "reviewed", "paper=", "--json"}).json();
  EXPECT_EQ(changed["tags"], (nlohmann::json{{"paper", ""}}));
  ASSERT_EQ(changed["later"].size(), 4u);
  EXPECT_EQ(changed["later"][2]["kind"], "tag_removed");
  EXPECT_EQ(ckptool({"tag", "store", "cnn@2", "--remove", "paper"}).out,
            address(2) + ": no tags\n");
  expect_error({"tag", "store", "cnn@2", "--remove", "paper"}, 1, "not_found",
               {"no tag 'paper'", "none"});
  expect_error({"tag", "store", "cnn@2"}, 2, "usage", {"NAME is missing"});
  expect_error({"tag", "store", "cnn@2", "mid_step"}, 2, "invalid_argument", {"mid_step"});
  EXPECT_EQ(ckptool({"tag", "store", "cnn@3", "x", "-q"}).out, "");
}

TEST_F(LaterFactCommandTest, AMetricThatComesLaterDecides) {
  const Result measured = ckptool({"metric", "store", "cnn@2", "test/auc=0.912", "a=b=-1e-3"});
  EXPECT_EQ(measured.code, 0) << measured;
  EXPECT_EQ(measured.out, address(2) + ": a=b -0.001, test/auc 0.912\n");
  ckptool({"metric", "store", "cnn@1", "test/auc=nan"});
  ckptool({"metric", "store", "cnn@3", "test/auc=0.5"});
  EXPECT_TRUE(contains(ckptool({"ls", "store", "cnn"}).out, "test/auc"));
  EXPECT_EQ(shown("cnn@best:test/auc:max")["checkpoint"]["id"], id(2));
  EXPECT_TRUE(contains(ckptool({"best", "store", "cnn", "test/auc:max"}).out, address(2)));
  EXPECT_TRUE(contains(ckptool({"show", "store", "cnn@2"}).out, "metric test/auc 0.912 ("));
  EXPECT_EQ(ckptool({"export", "store", "cnn"}).json()["checkpoints"][1]["metrics"]["test/auc"],
            0.912);
  EXPECT_TRUE(contains(ckptool({"diff", "store", "cnn@2", "cnn@3"}).out, "test/auc"));
  EXPECT_EQ(ckptool({"report", "store", "-o", (root() / "x.html").string()}).code, 0);
  EXPECT_TRUE(contains(read_bytes(root() / "x.html"), "test/auc"));
  for (const std::string text : {"auc", "=1", "auc=", "auc=1x", "auc=one"}) {
    expect_error({"metric", "store", "cnn@2", text}, 2, "usage", {text, "NAME=VALUE"});
  }
  expect_error({"metric", "store", "cnn@9", "auc=1"}, 1, "not_found", {"9"});
}

TEST_F(LaterFactCommandTest, PruneTellsWhatIsPending) {
  ckptool({"metric", "store", "cnn@1", "auc=0.9"});
  ckptool({"metric", "store", "cnn@2", "auc=0.8"});
  const Result plan =
      ckptool({"prune", "store", "--keep-best", "1:auc:max", "--dry-run", "--json"});
  const nlohmann::json entries = plan.json()["entries"];
  ASSERT_EQ(entries.size(), 4u) << plan;
  EXPECT_TRUE(contains(entries[0].dump(), "best 1 by auc:max")) << plan;
  EXPECT_TRUE(contains(entries[1].dump(), "no rule keeps it")) << plan;
  EXPECT_TRUE(contains(entries[2].dump(), "pending: no auc yet")) << plan;
  EXPECT_TRUE(contains(entries[3].dump(), "newest resumable")) << plan;
}

TEST_F(LaterFactCommandTest, NotesOnACheckpointAndOnARun) {
  EXPECT_EQ(ckptool({"note", "store", "cnn@2", "the one of the paper\x1b"}).out,
            address(2) + ": noted (1 in all)\n");
  EXPECT_EQ(ckptool({"note", "store", "cnn", "duplicates in the data"}).out,
            "run cnn: noted (1 in all)\n");
  const Result checkpoint = ckptool({"show", "store", "cnn@2"});
  EXPECT_TRUE(contains(checkpoint.out, "note the one of the paper\\x1b (")) << checkpoint;
  const Result run = ckptool({"show", "store", "cnn"});
  EXPECT_TRUE(contains(run.out, "note duplicates in the data (")) << run;
  const nlohmann::json later = shown("cnn")["run"]["later"];
  ASSERT_EQ(later.size(), 1u);
  EXPECT_EQ(later[0]["kind"], "note");
  EXPECT_EQ(later[0]["value"], "duplicates in the data");
  EXPECT_TRUE(contains(later[0]["who"], "@"));
  expect_error({"note", "store", "cnn"}, 2, "usage", {"TEXT is missing"});
  expect_error({"note", "store", "cnn", ""}, 2, "invalid_argument", {"without a text"});
  expect_error({"note", "store", "none", "x"}, 1, "not_found", {"none"});
}

}  // namespace
}  // namespace ckp::test
