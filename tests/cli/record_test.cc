// What the store knows of how its runs were made: show, export, metrics, tail, and the filters.
#include <chrono>
#include <optional>
#include <sstream>
#include <thread>

#include "ckp/address.h"
#include "cli/fixture.h"

namespace ckp::test {
namespace {

// Run cnn: attempt 1 saves epochs 1 and 2 and logs on; attempt 2, elsewhere, goes on from epoch 1.
class RecordTest : public CliTest {
 protected:
  void SetUp() override {
    Store made = Store::create(store());
    std::vector<CheckpointRecord> saved;
    {
      ckp::Run run = made.create_run(first_options());
      log(run, 5, 0.9);
      saved = save_epochs(run, 1, 2);
      log(run, 15, 0.8);
    }
    made.promote(saved[0], "production");
    AttemptOptions second;
    second.parameters = {{"lr", 0.2}, {"depth", 3}};
    second.environment = {{"user", "bo"}, {"git_commit", "c2"}, {"git_dirty", false}};
    second.data = {.name = "clicks", .version = "2026-08"};
    ckp::Run run = made.resume_run("cnn", parse_address("cnn@1"), second);
    log(run, 15, 0.7);
    save_epochs(run, 2, 2);
    run.finish(RunStatus::completed);
    make_run(made, "wide", 1, RunStatus::interrupted);
  }
  static RunOptions first_options() {
    RunOptions options;
    options.name = "cnn";
    options.parameters = {{"lr", 0.1}, {"depth", 3}};
    options.environment = {{"user", "ada"},
                           {"git_commit", "c1"},
                           {"git_dirty", true},
                           {"git_diff", "--- a/train.cc\n+++ b/train.cc\n"}};
    options.data = {.name = "clicks", .version = "2026-07", .splits = {{"train", 100}}};
    options.data.files["a.bin"] = {};
    options.devices = 2;
    return options;
  }
  static void log(ckp::Run& run, std::int64_t step, double loss) {
    run.log(step / 10, step, {{"train/loss", loss}, {"lr", 0.1}});
  }
  std::string out_of(const std::vector<std::string>& arguments) const {
    const Result result = ckptool(arguments);
    EXPECT_EQ(result.code, 0) << result;
    return result.out;
  }
  static void expect_words(const std::string& text, const std::vector<std::string>& words) {
    std::size_t at = 0;
    for (const std::string& word : words) {
      const std::size_t found = text.find(word, at);
      EXPECT_NE(found, std::string::npos) << "expected, behind the others: " << word << "\n"
                                          << text;
      if (found != std::string::npos) at = found;
    }
  }
};

TEST_F(RecordTest, ShowHasTheRunInGroups) {
  expect_words(out_of({"show", "store", "cnn"}), {"run ",
                                                  "cnn",
                                                  "status",
                                                  "completed",
                                                  "duration",
                                                  "in 2 attempts",
                                                  "device hours",
                                                  "\nparameters\n",
                                                  "depth",
                                                  "lr",
                                                  "\ndata\n",
                                                  "digest",
                                                  "name",
                                                  "clicks",
                                                  "2026-07",
                                                  "\nattempt 1\n",
                                                  "devices",
                                                  "2",
                                                  "git_commit",
                                                  "c1",
                                                  "\nattempt 2\n",
                                                  "continued from",
                                                  "parameter lr",
                                                  "0.2",
                                                  "data version",
                                                  "2026-08",
                                                  "git_commit",
                                                  "c2",
                                                  "bo"});
  EXPECT_FALSE(contains(out_of({"show", "store", "cnn"}), "parameter depth"))
      << "the same as before";
  const nlohmann::json run = ckptool({"show", "store", "cnn", "--json"}).json()["run"];
  EXPECT_EQ(run["attempts"][1]["environment"]["git_commit"], "c2");
  EXPECT_EQ(run["attempts"][0]["devices"], 2.0);
  EXPECT_EQ(run["data"]["splits"]["train"], 100);
  EXPECT_TRUE(run["device_hours"].is_number());
  EXPECT_FALSE(run["environment"].contains("git_diff"));
}

TEST_F(RecordTest, ACheckpointSaysWhatItWasMadeBy) {
  const std::string text = out_of({"show", "store", "cnn@1"});
  expect_words(text, {"\nmade by\n", "cnn", "attempt", "1", "git_commit", "c1", "\nparameters\n",
                      "0.1", "\ndata\n", "digest", "2026-07"});
  EXPECT_EQ(out_of({"show", "store", "@production", "--at", "2199-01-01"}), text);
  const nlohmann::json json = ckptool({"show", "store", "cnn@2", "--json"}).json();
  EXPECT_EQ(json["made_by"]["attempt"], 2);
  EXPECT_EQ(json["made_by"]["run"], "cnn");
  EXPECT_EQ(json["made_by"]["parameters"]["lr"], 0.2);
  EXPECT_EQ(json["made_by"]["data"]["version"], "2026-08");
  EXPECT_EQ(json["made_by"]["environment"]["user"], "bo");
}

TEST_F(RecordTest, TheSourceDiffIsPrintedAlone) {
  const std::string diff = "--- a/train.cc\n+++ b/train.cc\n";
  EXPECT_EQ(out_of({"show", "store", "cnn@1", "--source-diff"}), diff);
  EXPECT_EQ(ckptool({"show", "store", "cnn@1", "--source-diff", "--json"}).json()["source_diff"],
            diff);
  const Result none = ckptool({"show", "store", "cnn", "--source-diff"});
  EXPECT_EQ(none.code, 1) << none;
  EXPECT_TRUE(contains(none.err, "attempt 2 has recorded no source diff")) << none;
}

TEST_F(RecordTest, QuestionsOfATeamAreOneCommandEach) {
  const auto rows = [&](std::vector<std::string> options) {
    options.insert(options.begin(), {"runs", "store"});
    return out_of(options);
  };
  EXPECT_EQ(rows({"--where", "data.version = '2026-08'", "--columns", "metrics.val/loss"}),
            "RUN  metrics.val/loss\ncnn  0.3125\n");
  EXPECT_EQ(rows({"--where", "status != 'completed'", "--columns", "status"}),
            "RUN   status\nwide  interrupted\n");
  EXPECT_EQ(rows({"--where", "git_commit = 'c2' and git_dirty = false", "--columns", "user"}),
            "RUN  user\ncnn  bo\n");
  expect_words(rows({"--group-by", "user", "--sum", "device_hours"}),
               {"user", "RUNS", "device_hours", "bo", "1", "\n-"});
  expect_words(out_of({"params", "store", "--where", "name = 'cnn'"}), {"lr", "0.2", "1"});
  EXPECT_EQ(out_of({"ls", "store", "cnn", "--where", "env.user = 'ada'", "--columns", "epoch"})
                .substr(0, 10),
            "CHECKPOINT");
  const Result unknown = ckptool({"runs", "store", "--where", "data.vresion = 'x'"});
  EXPECT_EQ(unknown.err, "ckptool: note: no run has data.vresion; did you mean version?\n");
}

TEST_F(RecordTest, MetricsAreTheCurrentLineOrAll) {
  const nlohmann::json points = ckptool({"metrics", "store", "cnn", "--json"}).json()["points"];
  ASSERT_EQ(points.size(), 2u);
  EXPECT_EQ(points[0]["step"], 5);
  EXPECT_EQ(points[1]["attempt"], 2);
  EXPECT_EQ(points[1]["values"]["train/loss"], 0.7);
  EXPECT_EQ(ckptool({"metrics", "store", "cnn", "--all", "--json"}).json()["points"].size(), 3u);
  const std::string csv = out_of({"metrics", "store", "cnn", "train/loss", "--csv"});
  expect_words(csv,
               {"attempt,epoch,step,time,train/loss\n", "1,0,5,", "Z,0.9\n", "2,1,15,", ",0.7\n"});
  expect_words(out_of({"metrics", "store", "cnn"}),
               {"ATTEMPT", "EPOCH", "STEP", "lr", "train/loss", "TIME", "0.9", "0.7"});
  EXPECT_EQ(out_of({"metrics", "store", "wide"}), "no metrics\n");
  expect_error({"metrics", "store", "cnn", "train_loss"}, 1, "not_found",
               {"cnn has logged no metric train_loss; did you mean train/loss?"});
  expect_error({"metrics", "store"}, 2, "usage", {"RUN is missing"});
}

TEST_F(RecordTest, NamesAreQuotedInCsv) {
  {
    Store opened = Store::open(store());
    RunOptions options;
    options.name = "odd";
    ckp::Run run = opened.create_run(options);
    run.log(0, 1, {{"a \"b\", c", 1.0 / 3}});
  }
  const std::string csv = out_of({"metrics", "store", "odd", "--csv"});
  expect_words(csv, {"time,\"a \"\"b\"\", c\"\n", ",0.3333333333333333\n"});
}

TEST_F(RecordTest, ExportIsEverything) {
  const nlohmann::json json = ckptool({"export", "store", "cnn"}).json();
  EXPECT_EQ(json["export_version"], 1);
  EXPECT_EQ(json["run"]["name"], "cnn");
  EXPECT_EQ(json["run"]["attempts"].size(), 2u);
  ASSERT_EQ(json["checkpoints"].size(), 3u);
  EXPECT_EQ(json["checkpoints"][1]["superseded"], true);
  EXPECT_EQ(json["checkpoints"][2]["superseded"], false);
  EXPECT_EQ(json["metrics"]["current"].size(), 2u);
  EXPECT_EQ(json["metrics"]["all"].size(), 3u);
  EXPECT_TRUE(contains(json["source_diffs"]["1"], "train.cc"));
  EXPECT_EQ(json["source_diffs"].size(), 1u);
  EXPECT_EQ(ckptool({"export", "store", "cnn", "--json"}).out,
            ckptool({"export", "store", "cnn"}).out);
  expect_error({"export", "store", "cnnn"}, 1, "not_found", {"cnnn"});
}

TEST_F(RecordTest, TailHasTheLastPoints) {
  const std::string last = out_of({"tail", "store", "cnn", "-n", "1"});
  expect_words(last, {"epoch 1  step 15  lr 0.1  train/loss 0.7\n"});
  EXPECT_FALSE(contains(last, "step 5 ")) << last;
  expect_words(out_of({"tail", "store", "cnn", "lr"}), {"step 5  lr 0.1\n", "step 15  lr 0.1\n"});
  EXPECT_EQ(ckptool({"tail", "store", "cnn", "--json"}).json()["points"].size(), 2u);
  EXPECT_EQ(out_of({"tail", "store", "wide"}), "no metrics\n");
}

TEST_F(RecordTest, TailFollowsUntilTheRunEnds) {
  const Result ended = ckptool({"tail", "-f", "store", "cnn"});
  EXPECT_EQ(ended.code, 0) << ended;
  EXPECT_EQ(ended.err, "ckptool: run cnn: completed\n");

  Store opened = Store::open(store());
  RunOptions options;
  options.name = "live";
  std::optional<ckp::Run> run = opened.create_run(options);
  std::thread trainer([&] {
    for (std::int64_t step = 1; step <= 300; ++step) {
      log(*run, step, 1.0 / static_cast<double>(step));
      std::this_thread::sleep_for(std::chrono::milliseconds(5));  // so that some come later
    }
    run->finish(RunStatus::failed);
    run.reset();
  });
  const Result followed = ckptool({"tail", "-f", "store", "live", "-n", "1000", "--json"});
  trainer.join();
  EXPECT_EQ(followed.code, 0) << followed;
  EXPECT_EQ(followed.err, "ckptool: run live: failed\n");
  std::int64_t step = 0;
  std::istringstream lines(followed.out);
  for (std::string line; std::getline(lines, line);) {
    EXPECT_EQ(nlohmann::json::parse(line)["step"], ++step);
  }
  EXPECT_EQ(step, 300);
}

TEST_F(RecordTest, TailSaysAtOnceThatAMetricIsNotThereYet) {
  Store opened = Store::open(store());
  RunOptions options;
  options.name = "live";
  ckp::Run run = opened.create_run(options);
  EXPECT_TRUE(contains(interrupted_ckptool({"tail", "-f", "store", "live", "typo"}).err,
                       "note: run live has no metric typo yet; there are none; waiting"));
  log(run, 7, 0.5);
  const Result result = interrupted_ckptool({"tail", "-f", "store", "live", "typo", "train/loss"});
  EXPECT_EQ(result.code, 130) << result;
  EXPECT_TRUE(contains(result.err, "has no metric typo yet; there are: lr, train/loss; waiting"))
      << result;
  EXPECT_TRUE(contains(result.out, "step 7 ")) << result;
  EXPECT_EQ(interrupted_ckptool({"tail", "-f", "store", "live", "train/loss"}).err, "");
  expect_error({"tail", "-f", "store", "cnn", "typo"}, 1, "not_found", {"typo"});
}

TEST_F(RecordTest, ARunThatEndedWithoutACheckpointHasAnEnd) {
  Store opened = Store::open(store());
  RunOptions options;
  options.name = "short";
  opened.create_run(options).finish(RunStatus::failed);
  const Result result =
      ckptool({"runs", "store", "--where", "ended > now-1h and checkpoints = 0", "--json"});
  EXPECT_TRUE(contains(result.out, "\"short\"")) << result;
}

TEST_F(RecordTest, CtrlCEndsTail) {
  Store opened = Store::open(store());
  RunOptions options;
  options.name = "live";
  ckp::Run run = opened.create_run(options);
  log(run, 7, 0.5);
  const Result result = interrupted_ckptool({"tail", "-f", "store", "live"});
  EXPECT_EQ(result.code, 130) << result;
  EXPECT_TRUE(contains(result.out, "step 7 ")) << result;
}

}  // namespace
}  // namespace ckp::test
