// runs, ls, show, best.
#include <cmath>
#include <limits>

#include "ckp/address.h"
#include "cli/fixture.h"
#include "support/state_block.h"

namespace ckp::test {
namespace {

class ListTest : public CliTest {
 protected:
  void SetUp() override {
    Store made = Store::create(store());
    saved_ = make_run(made, "cnn", 5);
    make_run(made, "wide", 2, RunStatus::interrupted);
  }
  std::filesystem::path file_of(const CheckpointRecord& checkpoint) const {
    const auto directory = store() / "runs" / Store::open(store()).run("cnn").directory;
    for (const auto& entry : std::filesystem::directory_iterator(directory)) {
      if (contains(entry.path().filename().string(), checkpoint.id.hex())) return entry.path();
    }
    return {};
  }
  std::vector<CheckpointRecord> saved_;
};

TEST_F(ListTest, ADamagedIndexIsMadeAnewAndToldOnce) {
  for (const std::vector<std::string>& command :
       std::vector<std::vector<std::string>>{{"ls", "store"},
                                             {"runs", "store", "--json"},
                                             {"show", "store", "cnn@latest", "--quiet"},
                                             {"best", "store", "cnn"}}) {
    const Result sound = ckptool(command);
    EXPECT_EQ(sound.err, "");
    rot_index(store());
    const Result result = ckptool(command);
    EXPECT_EQ(result.code, 0) << result;
    EXPECT_EQ(result.out, sound.out);
    const std::string words = "the index was damaged and has been made anew";
    EXPECT_TRUE(contains(result.err, "ckptool: warning: ")) << result;
    ASSERT_TRUE(contains(result.err, words)) << result;
    EXPECT_EQ(result.err.find(words), result.err.rfind(words)) << "once";
    EXPECT_EQ(ckptool(command).err, "");
  }
}

TEST_F(ListTest, RunsShowsStatusCountersAndBest) {
  const Result table = ckptool({"runs", "store"});
  EXPECT_EQ(table.code, 0) << table;
  EXPECT_TRUE(contains(table.out, "completed")) << table;
  EXPECT_TRUE(contains(table.out, "interrupted")) << table;
  EXPECT_TRUE(contains(table.out, "val/loss 0.25")) << table;
  const nlohmann::json runs = ckptool({"runs", "store", "--json"}).json()["runs"];
  ASSERT_EQ(runs.size(), 2u);
  EXPECT_EQ(runs[0]["name"], "cnn");
  EXPECT_EQ(runs[0]["status"], "completed");
  EXPECT_EQ(runs[0]["checkpoints"], 5);
  EXPECT_EQ(runs[0]["latest"]["epoch"], 5);
  EXPECT_EQ(runs[0]["latest"]["step"], 50);
  EXPECT_EQ(runs[0]["best"]["epoch"], 3);
  EXPECT_EQ(runs[0]["directions"]["val/loss"], "min");
  EXPECT_EQ(runs[1]["status"], "interrupted");
  EXPECT_EQ(runs[1]["attempts"].size(), 1u);
}

TEST_F(ListTest, EmptyStoreSaysSo) {
  Store::create(root() / "empty");
  EXPECT_EQ(ckptool({"runs", "empty"}).out, "no runs yet\n");
  EXPECT_EQ(ckptool({"ls", "empty"}).out, "no checkpoints\n");
  EXPECT_EQ(ckptool({"ls", "empty", "--json"}).json()["checkpoints"].size(), 0u);
}

TEST_F(ListTest, LsHasOneLineForEachCheckpointInCommitOrder) {
  const Result table = ckptool({"ls", "store", "cnn"});
  EXPECT_EQ(table.code, 0) << table;
  EXPECT_EQ(std::count(table.out.begin(), table.out.end(), '\n'), 6);
  EXPECT_TRUE(contains(table.out, "CHECKPOINT")) << table;
  EXPECT_FALSE(contains(table.out, "wide")) << table;
  const nlohmann::json listed = ckptool({"ls", "store", "cnn", "--json"}).json()["checkpoints"];
  ASSERT_EQ(listed.size(), saved_.size());
  for (std::size_t i = 0; i < saved_.size(); ++i) {
    EXPECT_EQ(listed[i]["id"], saved_[i].id.hex());
    EXPECT_EQ(listed[i]["metrics"]["val/loss"], saved_[i].metrics.at("val/loss"));
  }
  EXPECT_EQ(listed[2]["flags"], nlohmann::json::array({"best"}));
  const Result all = ckptool({"ls", "store"});
  EXPECT_TRUE(contains(all.out, "wide")) << all;
  EXPECT_EQ(std::count(all.out.begin(), all.out.end(), '\n'), 8);
}

TEST_F(ListTest, SupersededCheckpointsAreListedWithAllOnly) {
  {
    Store made = Store::open(store());
    ckp::Run again = made.resume_run("cnn", parse_address("cnn@2"));
    save_epochs(again, 3, 3);
  }
  const nlohmann::json line = ckptool({"ls", "store", "cnn", "--json"}).json()["checkpoints"];
  ASSERT_EQ(line.size(), 3u);
  EXPECT_EQ(line[2]["attempt"], 2);
  const nlohmann::json all =
      ckptool({"ls", "store", "cnn", "--all", "--json"}).json()["checkpoints"];
  ASSERT_EQ(all.size(), 6u);
  for (std::size_t i = 2; i < 5; ++i) {
    EXPECT_EQ(all[i]["flags"], nlohmann::json::array({"superseded"})) << i;
  }
}

TEST_F(ListTest, NanMetricIsStoredButNeverBest) {
  {
    Store made = Store::open(store());
    RunOptions options;
    options.name = "nan";
    options.directions["val/loss"] = Better::lower;
    options.best_metric = "val/loss";
    ckp::Run run = made.create_run(options);
    const float one = 1.0f;
    StateDict state;
    state.add("model/w", contiguous_view(DType::float32, {1}, &one));
    SaveOptions save;
    for (const double loss : {0.5, std::nan(""), -std::numeric_limits<double>::infinity()}) {
      save.epoch = ++save.step;
      save.metrics["val/loss"] = loss;
      run.save(state, save).wait();
    }
  }
  const nlohmann::json listed = ckptool({"ls", "store", "nan", "--json"}).json()["checkpoints"];
  ASSERT_EQ(listed.size(), 3u);
  EXPECT_EQ(listed[1]["metrics"]["val/loss"], "NaN");
  EXPECT_EQ(listed[2]["metrics"]["val/loss"], "-Infinity");
  EXPECT_EQ(ckptool({"best", "store", "nan", "--json"}).json()["epoch"], 1);
}

TEST_F(ListTest, BestTakesTheDeclaredMetricOrTheNamedOne) {
  EXPECT_EQ(ckptool({"best", "store", "cnn", "--json"}).json()["epoch"], 3);
  EXPECT_EQ(ckptool({"best", "store", "cnn", "train/loss:min", "--json"}).json()["epoch"], 5);
  EXPECT_EQ(ckptool({"best", "store", "cnn", "train/loss:max", "--json"}).json()["epoch"], 1);
  const Result text = ckptool({"best", "store", "cnn"});
  EXPECT_TRUE(contains(text.out, "cnn@" + saved_[2].id.short_hex())) << text;
  expect_error({"best", "store", "cnn", "train/loss"}, 2, "invalid_argument", {":min", ":max"});
  expect_error({"best", "store", "cnn", "val/auc:max"}, 1, "not_found", {"val/loss"});
  expect_error({"best", "store", "cnn@3"}, 2, "usage", {"ckptool show cnn@3"});
}

TEST_F(ListTest, ShowHasFactsMetricsTensorsAndValues) {
  const Result text = ckptool({"show", "store", "cnn@3"});
  EXPECT_EQ(text.code, 0) << text;
  for (const std::string word : {"model/fc.weight", "float32", "[128, 256]", "val/loss", "0.25",
                                 "progress/epoch", "optimizer", "128.0 KiB"}) {
    EXPECT_TRUE(contains(text.out, word)) << word << text;
  }
  const nlohmann::json json = ckptool({"show", "store", "cnn@3", "--json"}).json();
  EXPECT_EQ(json["checkpoint"]["id"], saved_[2].id.hex());
  EXPECT_EQ(json["tensors"].size(), 4u);
  EXPECT_EQ(json["parts"]["model"]["tensors"], 3);
  EXPECT_EQ(json["values"]["progress"]["epoch"], 3);
  EXPECT_FALSE(json.contains("run"));
}

TEST_F(ListTest, ShowHasTheCertificateAndWhatEndedTheStep) {
  StateDict state;
  state.set("progress/epoch", 2);
  state.set("certificate/parts/model", "model");
  state.set("certificate/facts/threads", 4);
  state.set("certificate/warnings", Value::List{"no random generators"});
  SaveOptions options;
  options.tags[std::string(mid_step_tag)] = "an exception ended the step";
  save_file(root() / "one.ckp", state, options);
  const Result text = ckptool({"show", "one.ckp"});
  for (const std::string part :
       {"\nvalues\n  progress/epoch  2\n\ncertificate\n  facts/threads  4\n  parts/model    model\n"
        "  warning: no random generators\n",
        "mid-step", "resume passes it over"}) {
    EXPECT_TRUE(contains(text.out, part)) << part << text;
  }
  const nlohmann::json json = ckptool({"show", "one.ckp", "--json"}).json();
  EXPECT_EQ(json["values"]["certificate"]["facts"]["threads"], 4);
}

TEST_F(ListTest, ShowOfARunAddsItsRecord) {
  const nlohmann::json json = ckptool({"show", "store", "cnn", "--json"}).json();
  EXPECT_EQ(json["run"]["parameters"]["lr"], 0.001);
  EXPECT_EQ(json["checkpoint"]["epoch"], 5);
  EXPECT_TRUE(contains(ckptool({"show", "store", "cnn"}).out, "\nparameters\n  lr  0.001\n"));
}

TEST_F(ListTest, ShowSaysWhatARunStartedFrom) {
  const CheckpointRecord& base = saved_[2];
  {
    Store opened = Store::open(store());
    RunOptions options;
    options.name = "tuned";
    options.parent = ParentCheckpoint{base.id, base.run, base.run_name, base.epoch, base.step};
    StateDict state;
    state.set("progress/epoch", 1);
    opened.create_run(options).save(state, SaveOptions{}).wait();
  }
  EXPECT_EQ(ckptool({"rebuild-index", "store"}).code, 0);  // it stands in the journal
  const Result text = ckptool({"show", "store", "tuned"});
  EXPECT_TRUE(contains(text.out, "cnn@" + base.id.short_hex() + ", epoch 3, step ")) << text;
  const nlohmann::json parent =
      ckptool({"show", "store", "tuned", "--json"}).json()["run"]["parent"];
  EXPECT_EQ(parent["run"], "cnn");
  EXPECT_EQ(parent["run_id"], base.run.hex());
  EXPECT_EQ(parent["checkpoint"], base.id.hex());
  EXPECT_EQ(parent["epoch"], 3);
  EXPECT_TRUE(ckptool({"show", "store", "cnn", "--json"}).json()["run"]["parent"].is_null());
  const nlohmann::json found =
      ckptool({"runs", "store", "--where", "parent = 'cnn'", "--json"}).json();
  EXPECT_TRUE(contains(found.dump(), "\"tuned\"")) << found;
  EXPECT_FALSE(contains(ckptool({"runs", "store", "--where", "parent is null"}).out, "tuned"));
}

TEST_F(ListTest, ShowReadsAFileByItself) {
  make_file(root() / "one.ckp", 4);
  const nlohmann::json json = ckptool({"show", "one.ckp", "--json"}).json();
  EXPECT_EQ(json["checkpoint"]["epoch"], 4);
  EXPECT_EQ(json["tensors"].size(), 4u);
  expect_error({"show", "two.ckp"}, 1, "not_found", {"two.ckp"});
}

TEST_F(ListTest, UnknownNamesAreAnsweredWithWhatThereIs) {
  expect_error({"ls", "store", "cmn"}, 1, "not_found", {"cmn", "cnn"});
  expect_error({"show", "store", "cmn@best"}, 1, "not_found", {"cmn", "cnn"});
  expect_error({"show", "store", "cnn@17"}, 1, "not_found", {"17"});
  expect_error({"show", "store", "cnn@soon"}, 2, "invalid_argument", {"@latest", "@best"});
  expect_error({"prune", "store", "cmn", "--keep-last", "1"}, 1, "not_found", {"cnn"});
}

TEST_F(ListTest, ARunMayHaveTheNameOfACommand) {
  {
    Store made = Store::open(store());
    make_run(made, "best", 2);
  }
  EXPECT_EQ(ckptool({"ls", "store", "best", "--json"}).json()["checkpoints"].size(), 2u);
  const Result inside = ckptool({"best", "best", "--json"}, {.directory = store()});
  EXPECT_EQ(inside.code, 0) << inside;
}

// A list that leaves something out says so, also when the index was made after the damage.
TEST_F(ListTest, ACheckpointThatCannotBeReadIsNotPassedOverInSilence) {
  const auto damaged = file_of(saved_[4]);
  std::filesystem::resize_file(damaged, 100);
  EXPECT_EQ(ckptool({"rebuild-index", "store"}).code, 4);
  const std::string name = damaged.filename().string();
  for (const char* address : {"cnn@latest", "cnn@best"}) {
    const Result shown = ckptool({"show", "store", address});
    EXPECT_EQ(shown.code, 0) << shown;
    EXPECT_TRUE(contains(shown.err, name)) << shown;
  }
  EXPECT_TRUE(contains(ckptool({"best", "store", "cnn"}).err, name));
  const Result listed = ckptool({"ls", "store", "cnn", "--json"});
  EXPECT_TRUE(contains(listed.err, "ckptool verify")) << listed;
  EXPECT_EQ(listed.json()["checkpoints"].size(), 4u);
  ASSERT_EQ(listed.json()["missing"].size(), 1u);
  EXPECT_TRUE(contains(listed.json()["missing"][0], name));
  EXPECT_EQ(ckptool({"ls", "store", "wide"}).err, "");
}

TEST_F(ListTest, ACheckpointWhoseFileIsGoneIsNamedAndPassedOver) {
  const auto lost = file_of(saved_[4]);
  std::filesystem::remove(lost);
  const std::string name = lost.filename().string();
  EXPECT_TRUE(contains(ckptool({"ls", "store", "cnn"}).err, name));
  const Result latest = ckptool({"show", "store", "cnn@latest", "--json"});
  EXPECT_EQ(latest.json()["checkpoint"]["epoch"], 4);
  EXPECT_TRUE(contains(latest.err, name)) << latest;
}

TEST_F(ListTest, ClosedOutputIsNoError) {
  const std::string script = std::string(CKP_BIN_DIR) + "/ckptool ls " + store().string() + " 2>" +
                             (root() / "err").string() + " | true; echo ${PIPESTATUS[0]} >" +
                             (root() / "status").string();
  ASSERT_EQ(std::system(("bash -c '" + script + "'").c_str()), 0);
  EXPECT_EQ(read_bytes(root() / "status"), "0\n");
  EXPECT_EQ(read_bytes(root() / "err"), "");
}

TEST_F(ListTest, OutputThatCannotBeWrittenIsAnError) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "no /dev/full here";
  const Result result = ckptool({"ls", "store"}, {.standard_output = "/dev/full"});
  EXPECT_EQ(result.code, 1) << result;
  EXPECT_TRUE(contains(result.err, "standard output")) << result;
}

// What a message says to type can be typed.
TEST_F(ListTest, CommandsInMessagesNameTheStore) {
  std::filesystem::rename(store(), root() / "my store");
  expect_error({"show", "my store", "cnn@ffffffff"}, 1, "not_found",
               {"list them with: ckptool ls 'my store' cnn --all"});
}

}  // namespace
}  // namespace ckp::test
