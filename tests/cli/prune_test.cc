// prune and rm: what they say they delete is what they delete.
#include <algorithm>
#include <fstream>

#include "cli/fixture.h"

namespace ckp::test {
namespace fs = std::filesystem;
namespace {

class PruneCommandTest : public CliTest {
 protected:
  void SetUp() override {
    Store made = Store::create(store());
    saved_ = make_run(made, "cnn", 6);
    make_run(made, "wide", 3);
  }
  // Retired packs, which kept checkpoints still need, included.
  std::uint64_t bytes_on_disk() const { return bytes_below(store() / "runs"); }
  std::vector<std::int64_t> epochs_left(const std::string& run) const {
    std::vector<std::int64_t> epochs;
    const nlohmann::json listed = ckptool({"ls", "store", run, "--json"}).json();
    for (const nlohmann::json& each : listed["checkpoints"]) {
      epochs.push_back(each["epoch"].get<std::int64_t>());
    }
    return epochs;
  }
  std::vector<CheckpointRecord> saved_;
};

using Epochs = std::vector<std::int64_t>;

TEST_F(PruneCommandTest, AnEmptyPolicyIsRefused) {
  expect_error({"prune", "store"}, 2, "invalid_argument", {"--keep-last", "ckptool rm"});
  expect_error({"prune", "store", "cnn", "--dry-run"}, 2, "invalid_argument", {"--keep-last"});
  expect_error({"prune", "store", "--keep-last", "0"}, 2, "invalid_argument", {"--keep-last"});
  EXPECT_EQ(epochs_left("cnn").size(), 6u);
}

// An option that swallowed the run behind it would judge every run.
TEST_F(PruneCommandTest, AnOptionTakesOneValueAndLeavesTheRunsAlone) {
  for (const std::vector<std::string>& rule : {std::vector<std::string>{"--keep-best", "val/loss"},
                                               {"--keep-every", "2e"},
                                               {"--keep-last", "1"},
                                               {"--keep-within", "1d"}}) {
    const nlohmann::json plan =
        ckptool({"prune", "store", rule[0], rule[1], "cnn", "-n", "--json"}).json();
    ASSERT_EQ(plan["entries"].size(), 6u) << rule[0];
    for (const nlohmann::json& entry : plan["entries"]) EXPECT_EQ(entry["run"], "cnn") << rule[0];
  }
}

// A rule that matches nothing would let everything go.
TEST_F(PruneCommandTest, ARuleThatMatchesNothingIsRefused) {
  expect_error({"prune", "store", "--keep-tag", "nope"}, 2, "invalid_argument", {"nope"});
  expect_error({"prune", "store", "--keep-best", "1:nope:min"}, 2, "invalid_argument", {"nope"});
  EXPECT_EQ(epochs_left("cnn").size(), 6u);
}

// What prune keeps must load: otherwise it would leave a run with nothing.
TEST_F(PruneCommandTest, ADamagedNewestCheckpointStopsIt) {
  const nlohmann::json shown = ckptool({"show", "store", "cnn@6", "--json"}).json();
  fs::path file;
  for (const auto& entry : fs::recursive_directory_iterator(store() / "runs")) {
    if (entry.path().filename().string().find(saved_.back().id.hex()) != std::string::npos) {
      file = entry.path();
    }
  }
  ASSERT_FALSE(file.empty()) << shown;
  std::fstream pack(file, std::ios::in | std::ios::out | std::ios::binary);
  pack.seekp(400);
  pack.write("damage", 6);
  pack.close();
  expect_error({"prune", "store", "cnn", "--keep-last", "1"}, 4, "corrupt",
               {"nothing was deleted"});
  expect_error({"prune", "store", "cnn", "--keep-last", "1", "--dry-run"}, 4, "corrupt",
               {"nothing was deleted"});
  EXPECT_EQ(epochs_left("cnn").size(), 6u);
}

// Nothing is freed for the sake of what cannot be read, and the summary does not claim to know
// more.
TEST_F(PruneCommandTest, TheSummarySaysWhyNothingWasFreed) {
  fs::path file;
  for (const auto& entry : fs::recursive_directory_iterator(store() / "runs")) {
    const bool is_of_wide = entry.path().parent_path().filename().string().starts_with("wide-");
    if (is_of_wide && entry.path().extension() == ".ckp") file = entry.path();
  }
  fs::resize_file(file, 300);
  const Result done = ckptool({"prune", "store", "cnn", "--keep-last", "1", "-q"});
  EXPECT_TRUE(contains(done.out, "freed 0 bytes")) << done;
  EXPECT_TRUE(contains(done.out, file.filename().string() + " cannot be read")) << done;
  EXPECT_FALSE(contains(done.out, "kept checkpoints need")) << done;
}

TEST_F(PruneCommandTest, BadRulesAreRefusedWithTheFormThatIsExpected) {
  expect_error({"prune", "store", "--keep-every", "often"}, 2, "invalid_argument",
               {"often", "10e"});
  expect_error({"prune", "store", "--keep-within", "soon"}, 2, "invalid_argument", {"soon", "7d"});
  expect_error({"prune", "store", "--keep-last", "-1"}, 2, "usage", {"--keep-last"});
  expect_error({"prune", "store", "--keep-best", "1:train/loss"}, 2, "invalid_argument", {":min"});
  EXPECT_EQ(epochs_left("cnn").size(), 6u);
}

TEST_F(PruneCommandTest, TheDryRunIsExact) {
  const std::vector<std::string> rules{"--keep-last", "1", "--keep-best", "1:val/loss:min"};
  std::vector<std::string> arguments{"prune", "store", "--json"};
  arguments.insert(arguments.end(), rules.begin(), rules.end());
  std::vector<std::string> rehearsal = arguments;
  rehearsal.emplace_back("--dry-run");

  const std::uint64_t before = bytes_on_disk();
  nlohmann::json planned = ckptool(rehearsal).json();
  EXPECT_EQ(bytes_on_disk(), before) << "a dry run deletes nothing";
  EXPECT_EQ(epochs_left("cnn").size(), 6u);
  const Result done = ckptool(arguments);
  EXPECT_EQ(done.code, 0) << done;
  nlohmann::json effect = done.json();
  EXPECT_EQ(planned["dry_run"], true);
  EXPECT_EQ(effect["dry_run"], false);
  planned.erase("dry_run");
  effect.erase("dry_run");
  EXPECT_EQ(planned, effect);
  EXPECT_GT(effect["bytes_freed"].get<std::uint64_t>(), 0u);
  EXPECT_EQ(before - bytes_on_disk(), effect["bytes_freed"].get<std::uint64_t>());
  EXPECT_EQ(epochs_left("cnn"), (Epochs{3, 6}));
  EXPECT_EQ(epochs_left("wide"), (Epochs{3}));
  EXPECT_EQ(ckptool({"verify", "store", "--full"}).code, 0);
  EXPECT_EQ(ckptool({"digest", "store", "cnn@3"}).code, 0);
}

// The first checkpoint's file holds the embedding, which never changes.
TEST_F(PruneCommandTest, FilesThatAreNeededInPartAreRewritten) {
  const std::vector<std::string> rules{"prune", "store", "--keep-last", "1"};
  std::vector<std::string> rehearsal = rules;
  rehearsal.emplace_back("--dry-run");
  const Result planned = ckptool(rehearsal);
  EXPECT_NE(planned.out.find("would rewrite 1 file that kept checkpoints need in part"),
            std::string::npos)
      << planned;
  rehearsal.emplace_back("--json");
  const nlohmann::json rewrite = ckptool(rehearsal).json()["rewrites"].at(0);
  EXPECT_EQ(rewrite["pack"], saved_.front().id.hex());
  EXPECT_EQ(rewrite["run"], "cnn");
  EXPECT_LT(rewrite["bytes_after"], rewrite["bytes_before"]);

  const std::uint64_t before = bytes_on_disk();
  const Result done = ckptool(rules);
  EXPECT_EQ(done.code, 0) << done;
  EXPECT_NE(done.out.find("rewrote 1 file"), std::string::npos) << done;
  std::string freed = planned.out.substr(planned.out.find("would free ") + 11);
  freed = freed.substr(0, freed.find('\n'));
  EXPECT_NE(done.out.find("freed " + freed), std::string::npos) << done;
  EXPECT_GT(before, bytes_on_disk());
  EXPECT_EQ(ckptool({"verify", "store", "--full"}).code, 0);
  EXPECT_EQ(ckptool({"digest", "store", "cnn@6"}).code, 0);
}

TEST_F(PruneCommandTest, EveryCheckpointGetsADecisionWithItsReason) {
  const Result text =
      ckptool({"prune", "store", "cnn", "--keep-last", "1", "--keep-every", "2e", "-n"});
  EXPECT_EQ(text.code, 0) << text;
  EXPECT_NE(text.out.find("would delete 3 of 6 checkpoints"), std::string::npos) << text;
  EXPECT_NE(text.out.find(" bytes)"), std::string::npos) << "exact bytes" << text;
  const nlohmann::json entries =
      ckptool({"prune", "store", "cnn", "--keep-last", "1", "--keep-every", "2e", "-n", "--json"})
          .json()["entries"];
  ASSERT_EQ(entries.size(), 6u);
  for (const nlohmann::json& entry : entries) {
    EXPECT_EQ(entry["action"], entry["epoch"].get<int>() % 2 == 0 ? "keep" : "delete");
    EXPECT_FALSE(entry["reasons"].empty()) << entry;
  }
}

TEST_F(PruneCommandTest, OnlyTheNamedRunsAreTouched) {
  EXPECT_EQ(ckptool({"prune", "store", "wide", "--keep-last", "1"}).code, 0);
  EXPECT_EQ(epochs_left("wide"), (Epochs{3}));
  EXPECT_EQ(epochs_left("cnn").size(), 6u);
}

TEST_F(PruneCommandTest, KeepBestMayBeRepeated) {
  const Result done = ckptool({"prune", "store", "cnn", "--keep-best", "1:val/loss:min",
                               "--keep-best", "1:train/loss:max"});
  EXPECT_EQ(done.code, 0) << done;
  // The newest resumable one always stays.
  EXPECT_EQ(epochs_left("cnn"), (Epochs{1, 3, 6}));
}

TEST_F(PruneCommandTest, RmAsksAndWithoutATerminalNeedsYes) {
  expect_error({"rm", "store", "cnn@1"}, 2, "usage", {"--yes"});
  EXPECT_EQ(epochs_left("cnn").size(), 6u);
  const std::uint64_t before = bytes_on_disk();
  const Result done = ckptool({"rm", "store", "cnn@2", "cnn@4", "cnn@step:20", "-y", "--json"});
  EXPECT_EQ(done.code, 0) << done;
  EXPECT_EQ(done.json()["deleted"].size(), 2u) << "named twice, deleted once";
  EXPECT_EQ(before - bytes_on_disk(), done.json()["bytes_freed"].get<std::uint64_t>());
  EXPECT_EQ(epochs_left("cnn"), (Epochs{1, 3, 5, 6}));
}

TEST_F(PruneCommandTest, RmDeletesNothingWhenOneAddressIsWrong) {
  expect_error({"rm", "store", "cnn@1", "cnn@99", "--yes"}, 1, "not_found", {"99"});
  expect_error({"rm", "store", "cnn@1", "cnn", "--yes"}, 2, "invalid_argument",
               {"cnn@latest", "--run cnn"});
  EXPECT_EQ(epochs_left("cnn").size(), 6u);
}

// The index does not list it any more, and its file still stops the prune that names this way out.
TEST_F(PruneCommandTest, RmGivesUpACheckpointThatCannotBeRead) {
  const CheckpointRecord& damaged = saved_[5];
  fs::path file;
  for (const auto& entry : fs::recursive_directory_iterator(store() / "runs")) {
    if (contains(entry.path().filename().string(), damaged.id.hex())) file = entry.path();
  }
  fs::resize_file(file, 300);
  ckptool({"rebuild-index", "store"});
  const std::string address = "cnn@" + damaged.id.hex();
  expect_error({"prune", "store", "--keep-last", "1"}, 4, "corrupt",
               {"ckptool rm store cnn@" + damaged.id.hex().substr(0, 8)});
  expect_error({"rm", "store", "wide@" + damaged.id.hex(), "--yes"}, 1, "not_found", {});
  const Result done = ckptool({"rm", "store", address, "--yes", "--json"});
  EXPECT_EQ(done.code, 0) << done;
  EXPECT_EQ(done.json()["deleted"][0]["id"], damaged.id.hex()) << done;
  EXPECT_EQ(done.json()["deleted"][0]["epoch"], nullptr) << done;
  EXPECT_FALSE(fs::exists(file));
  EXPECT_EQ(epochs_left("cnn"), (Epochs{1, 2, 3, 4, 5}));
  const Result verified = ckptool({"verify", "store"});
  EXPECT_EQ(verified.code, 0) << verified;
  EXPECT_EQ(ckptool({"prune", "store", "--keep-last", "1"}).code, 0);
}

TEST_F(PruneCommandTest, RmOfARunTakesItsRecordToo) {
  const Result done = ckptool({"rm", "store", "--run", "wide", "--yes"});
  EXPECT_EQ(done.code, 0) << done;
  const nlohmann::json runs = ckptool({"runs", "store", "--json"}).json()["runs"];
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_EQ(runs[0]["name"], "cnn");
  EXPECT_EQ(ckptool({"verify", "store", "--full"}).code, 0);
}

TEST_F(PruneCommandTest, RmOfARunThatIsHeldExitsWith11) {
  Store made = Store::open(store());
  const ckp::Run held = made.resume_run("wide");
  const Result refused = ckptool({"rm", "store", "--run", "wide", "--yes"});
  EXPECT_EQ(refused.code, 11) << refused;
  EXPECT_EQ(epochs_left("wide").size(), 3u);
}

}  // namespace
}  // namespace ckp::test
