// --where, --order-by, --limit and --columns of runs, ls and best.
#include "cli/fixture.h"

namespace ckp::test {
namespace {

class SearchTest : public CliTest {
 protected:
  // Of three, two and one epochs: val/loss is 0.375, 0.3125, 0.25.
  void SetUp() override {
    Store made = Store::create(store());
    make("cnn-1", {{"lr", 0.1}, {"depth", 3}}, {{"team", "ranking"}, {"user", "ada"}}, made, 3);
    make("cnn-2", {{"lr", 0.01}, {"depth", 3}}, {{"team", "ranking"}, {"user", "bo"}}, made, 2);
    make("rnn-1", {{"lr", 0.001}, {"note", "a,b"}}, {{"user", "ada"}}, made, 1);
  }
  static void make(const std::string& name, Value::Map parameters, Value::Map tags, Store& store,
                   std::int64_t epochs) {
    RunOptions options;
    options.name = name;
    options.parameters = std::move(parameters);
    options.tags = std::move(tags);
    options.directions["val/loss"] = Better::lower;
    options.best_metric = "val/loss";
    ckp::Run run = store.create_run(options);
    save_epochs(run, 1, epochs);
    run.finish(epochs == 2 ? RunStatus::failed : RunStatus::completed);
  }
  std::vector<std::string> names(std::vector<std::string> options) const {
    options.insert(options.begin(), {"runs", "store"});
    options.emplace_back("--json");
    std::vector<std::string> found;
    const nlohmann::json json = ckptool(options).json();
    for (const auto& run : json["runs"]) found.push_back(run["name"]);
    return found;
  }
};

using Found = std::vector<std::string>;

TEST_F(SearchTest, RunsAreFilteredOrderedAndLimited) {
  EXPECT_EQ(names({"--where", "params.lr < 0.05"}), (Found{"cnn-2", "rnn-1"}));
  EXPECT_EQ(names({"--where", "tags.team = 'ranking' and status != 'failed'"}), Found{"cnn-1"});
  EXPECT_EQ(names({"--where", "name ilike 'CNN%' or metrics.val/loss.min >= 0.375"}),
            (Found{"cnn-1", "cnn-2", "rnn-1"}));
  EXPECT_EQ(names({"--where", "started > now-1h", "--order-by", "params.lr"}),
            (Found{"rnn-1", "cnn-2", "cnn-1"}));
  EXPECT_EQ(names({"--order-by", "metrics.val/loss:min", "--limit", "2"}),
            (Found{"cnn-1", "cnn-2"}));
  EXPECT_EQ(names({"--order-by", "params.depth:desc", "--order-by", "name:desc"}),
            (Found{"cnn-2", "cnn-1", "rnn-1"}));
}

TEST_F(SearchTest, NothingFoundIsSaid) {
  EXPECT_EQ(ckptool({"runs", "store", "--where", "params.lr > 3"}).out, "no run matches\n");
  EXPECT_EQ(ckptool({"ls", "store", "--where", "epoch > 7"}).out, "no checkpoint matches\n");
  expect_error({"best", "store", "cnn-1", "--where", "epoch > 7"}, 1, "not_found",
               {"cnn-1", "--where"});
}

TEST_F(SearchTest, NamesThatNoRunHasAreNamedWhenNothingIsFound) {
  const std::string note = "ckptool: note: no run has metrics.val_loss; did you mean val/loss?\n";
  EXPECT_EQ(ckptool({"runs", "store", "--where", "metrics.val_loss < 3"}).err, note);
  EXPECT_EQ(ckptool({"ls", "store", "--where", "metrics.val_loss < 3 and epoch > 0"}).err, note);
  EXPECT_EQ(ckptool({"params", "store", "--where", "metrics.val_loss < 3"}).err, note);
  EXPECT_TRUE(contains(ckptool({"runs", "store", "--where", "tags.tem = 'x'"}).err, "mean team?"));
  EXPECT_TRUE(contains(ckptool({"runs", "store", "--where", "params.deph = 3"}).err, "depth?"));
  // What a checkpoint may have, and what is there but does not match.
  EXPECT_EQ(ckptool({"ls", "store", "--where", "tags.tem = 'x'"}).err, "");
  EXPECT_EQ(ckptool({"runs", "store", "--where", "params.lr > 3 and epoch > 99"}).err, "");
}

TEST_F(SearchTest, ColumnsAreShownAndCarriedInJson) {
  const std::vector<std::string> command{
      "runs",      "store",
      "--where",   "name = 'rnn-1'",
      "--columns", "params.lr,metrics.\"val/loss\".min,params.note,params.depth,started"};
  const std::string table = ckptool(command).out;
  const std::string heading =
      "RUN    params.lr  metrics.\"val/loss\".min  params.note  params.depth  started\n";
  EXPECT_EQ(table.substr(0, heading.size()), heading);
  EXPECT_TRUE(contains(table, "rnn-1  0.001      0.375                   a,b          -")) << table;
  std::vector<std::string> as_json = command;
  as_json.emplace_back("--json");
  const nlohmann::json columns = ckptool(as_json).json()["runs"][0]["columns"];
  EXPECT_EQ(columns["params.lr"], 0.001);
  EXPECT_EQ(columns["params.note"], "a,b");
  EXPECT_EQ(columns["params.depth"], nullptr);
  EXPECT_TRUE(contains(columns["started"].get<std::string>(), "Z"));
  EXPECT_FALSE(ckptool({"runs", "store", "--json"}).json()["runs"][0].contains("columns"));
}

TEST_F(SearchTest, LsSearchesCheckpointsOfAllRunsOrOne) {
  const Result all = ckptool({"ls", "store", "--where", "epoch >= 2 and params.depth = 3",
                              "--order-by", "epoch:desc", "--columns", "epoch,best"});
  EXPECT_EQ(all.code, 0) << all;
  EXPECT_EQ(std::count(all.out.begin(), all.out.end(), '\n'), 4) << all;
  EXPECT_EQ(all.out.rfind("RUN    CHECKPOINT  epoch  best\ncnn-1  ", 0), 0u) << all;
  const nlohmann::json one =
      ckptool({"ls", "store", "cnn-1", "--where", "best = true", "--json"}).json();
  ASSERT_EQ(one["checkpoints"].size(), 1u);
  EXPECT_EQ(one["checkpoints"][0]["epoch"], 3);
  EXPECT_EQ(ckptool({"ls", "store", "--limit", "4", "--json"}).json()["checkpoints"].size(), 4u);
}

TEST_F(SearchTest, BestTakesOneOfThoseThatMatch) {
  EXPECT_EQ(ckptool({"best", "store", "cnn-1", "--json"}).json()["epoch"], 3);
  EXPECT_EQ(ckptool({"best", "store", "cnn-1", "--where", "epoch < 3", "--json"}).json()["epoch"],
            2);
  EXPECT_EQ(ckptool({"best", "store", "cnn-1", "val/loss:max", "--where", "epoch > 1", "--json"})
                .json()["epoch"],
            2);
  expect_error({"best", "store", "cnn-1", "train/loss", "--where", "epoch > 1"}, 2,
               "invalid_argument", {":min", ":max"});
}

TEST_F(SearchTest, ParamsShowEachValueWithItsBestResult) {
  const Result table = ckptool({"params", "store"});
  EXPECT_EQ(table.out,
            "PARAMETER  VALUE  RUNS  BEST\n"
            "depth      3         2  val/loss 0.25 (cnn-1)\n"
            "lr         0.001     1  val/loss 0.375 (rnn-1)\n"
            "lr         0.01      1  val/loss 0.3125 (cnn-2)\n"
            "lr         0.1       1  val/loss 0.25 (cnn-1)\n"
            "note       a,b       1  val/loss 0.375 (rnn-1)\n")
      << table;
  const nlohmann::json json = ckptool({"params", "store", "--where", "tags.user = 'ada'",
                                       "--metric", "val/loss:max", "--json"})
                                  .json();
  EXPECT_EQ(json["runs"], 2);
  ASSERT_EQ(json["parameters"].size(), 3u);
  EXPECT_EQ(json["parameters"][0]["name"], "depth");
  const nlohmann::json depth = json["parameters"][0]["values"][0];
  EXPECT_EQ(depth["value"], "3");
  EXPECT_EQ(depth["runs"], 1);
  ASSERT_EQ(depth["best"].size(), 1u);
  EXPECT_EQ(depth["best"][0]["better"], "max");
  EXPECT_EQ(depth["best"][0]["value"], 0.375);
  EXPECT_EQ(depth["best"][0]["run"], "cnn-1");
  EXPECT_TRUE(contains(ckptool({"params", "store", "--metric", "none:max"}).out, "0.1       1  -"));
  EXPECT_EQ(ckptool({"params", "store", "--where", "name = 'x'"}).out, "no run matches\n");
  expect_error({"params", "store", "--metric", "train/loss"}, 2, "invalid_argument",
               {"--metric train/loss:min"});
}

TEST_F(SearchTest, RunsAreGroupedAndSummed) {
  const Result table = ckptool({"runs", "store", "--group-by", "tags.team", "--sum", "params.lr",
                                "--sum", "checkpoints", "--sum", "params.note"});
  EXPECT_EQ(table.out,
            "tags.team  RUNS  params.lr  checkpoints  params.note\n"
            "ranking       2       0.11            5            -\n"
            "-             1      0.001            1            -\n")
      << table;
  const nlohmann::json json = ckptool({"runs", "store", "--where", "params.depth = 3", "--group-by",
                                       "status", "--sum", "checkpoints", "--json"})
                                  .json();
  ASSERT_EQ(json["groups"].size(), 2u);
  EXPECT_EQ(json["groups"][0]["value"], "completed");
  EXPECT_EQ(json["groups"][0]["runs"], 1);
  EXPECT_EQ(json["groups"][0]["sums"]["checkpoints"], 3);
  EXPECT_EQ(json["groups"][1]["sums"]["checkpoints"], 2);
  EXPECT_EQ(ckptool({"runs", "store", "--group-by", "status", "--where", "name = 'x'"}).out,
            "no run matches\n");
  expect_error({"runs", "store", "--group-by", "tags.team", "--limit", "1"}, 2, "usage",
               {"--group-by", "--limit"});
  expect_error({"runs", "store", "--sum", "attempts"}, 2, "usage", {"--sum", "--group-by"});
  expect_error({"runs", "store", "--group-by", "team"}, 2, "invalid_argument",
               {"--group-by", "params.team"});
}

TEST_F(SearchTest, ErrorsPointAtThePlace) {
  const Result wrong = ckptool({"runs", "store", "--where", "params.lr >"});
  EXPECT_EQ(wrong.code, 2);
  EXPECT_EQ(wrong.err,
            "ckptool: --where: column 12: expected a value (a number, 'text', true or false), "
            "found the end\n  params.lr >\n             ^\n");
  expect_error({"ls", "store", "--where", "epohc = 3"}, 2, "invalid_argument", {"epoch"});
  expect_error({"best", "store", "cnn-1", "--where", "epoch = 'x'"}, 2, "invalid_argument",
               {"--where", "a number beside epoch"});
  expect_error({"ls", "store", "--order-by", "lr"}, 2, "invalid_argument",
               {"--order-by", "params.lr"});
  expect_error({"ls", "store", "--columns", "epoch,"}, 2, "invalid_argument", {"--columns"});
  expect_error({"ls", "store", "--limit", "many"}, 2, "usage", {"--limit"});
  expect_error({"ls", "store", "--limit", "-1"}, 2, "usage", {"--limit"});
  expect_error({"ls", "store", "--limit", "0"}, 2, "usage", {"--limit"});
}

TEST_F(SearchTest, AnEmptyExpressionIsNotEverything) {
  for (const char* command : {"runs", "ls", "params"}) {
    expect_error({command, "store", "--where", ""}, 2, "invalid_argument",
                 {"--where", "expected a key"});
  }
  expect_error({"best", "store", "cnn-1", "--where", ""}, 2, "invalid_argument", {"--where"});
  expect_error({"ls", "store", "--columns", ""}, 2, "invalid_argument", {"--columns"});
  expect_error({"runs", "store", "--group-by", ""}, 2, "invalid_argument", {"--group-by"});
}

}  // namespace
}  // namespace ckp::test
