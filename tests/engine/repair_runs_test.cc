// Repair of a store from which whole runs, or their journals, were deleted.
#include "repair_fixture.h"

namespace ckp {
namespace {

using test::RepairTest;

class RepairRunsTest : public RepairTest {
 protected:
  std::vector<std::filesystem::path> journals() const {
    std::vector<std::filesystem::path> found;
    for (const auto& entry : std::filesystem::directory_iterator(run_directory_)) {
      if (parse_journal_name(entry.path().filename().string())) found.push_back(entry.path());
    }
    return found;
  }
  // A second attempt, with a checkpoint of its own.
  void go_on() {
    Store store = Store::open(path());
    ckp::Run run = store.resume_run("cnn");
    SaveOptions options;
    options.epoch = options.step = 5;
    saved_[5] = run.save(state(5).dict(), options).wait().checkpoint;
  }
  static std::vector<std::string> names(const std::vector<RunRecord>& runs) {
    std::vector<std::string> names;
    for (const RunRecord& run : runs) names.push_back(run.name);
    return names;
  }
  // The index, and after it the files, list these runs and no finding.
  void expect_runs(const std::vector<std::string>& expected) const {
    Store store = Store::open(path());
    const VerifyReport report = store.verify();
    for (const Finding& finding : report.findings) ADD_FAILURE() << finding.message;
    EXPECT_TRUE(repair(path()).nothing_to_do());
    const auto listed = store.runs();
    EXPECT_EQ(names(listed), expected);
    store.rebuild_index();
    EXPECT_EQ(store.runs(), listed);
  }
};

TEST_F(RepairRunsTest, ADeletedDirectoryTakesItsRunOutOfTheIndex) {
  std::filesystem::remove_all(run_directory_);
  const RepairReport done = repair(path());
  EXPECT_EQ(done.steps.size(), 4u);
  for (const RepairStep& step : done.steps) EXPECT_EQ(to_string(step.action), "forget");
  EXPECT_FALSE(done.restores_all());
  expect_runs({"twin"});
}

TEST_F(RepairRunsTest, ADeletedDirectoryWithoutCheckpoints) {
  const auto directory = Store::open(path()).create_run(run_options("empty")).record().directory;
  std::filesystem::remove_all(path() / "runs" / directory);
  const RepairReport done = repair(path());
  EXPECT_EQ(done.steps.size(), 1u);
  expect_runs({"cnn", "twin"});
}

TEST_F(RepairRunsTest, OneDeletedJournalOfTwo) {
  go_on();
  for (const std::size_t which : {0u, 1u}) {
    SCOPED_TRACE(which);
    const auto file = journals().at(which);
    const auto bytes = test::read_bytes(file);
    std::filesystem::remove(file);
    EXPECT_FALSE(repair(path()).nothing_to_do());
    expect_runs({"cnn", "twin"});
    expect_epochs({1, 2, 3, 4, 5});
    test::write_bytes(file, bytes);
    Store::open(path()).rebuild_index();
  }
}

TEST_F(RepairRunsTest, AllJournalsDeleted) {
  go_on();
  for (const auto& file : journals()) std::filesystem::remove(file);
  const RepairReport done = repair(path());
  EXPECT_EQ(done.steps.size(), 2u);
  expect_runs({"cnn", "twin"});
  expect_epochs({1, 2, 3, 4, 5});
}

// What such a run is, its checkpoints say: with the last ones of an attempt gone it changes.
TEST_F(RepairRunsTest, AllJournalsAndTheCheckpointsOfAnAttemptDeleted) {
  go_on();
  for (const auto& file : journals()) std::filesystem::remove(file);
  std::filesystem::remove(run_directory_ / live_name(saved_[5]));
  EXPECT_FALSE(repair(path()).nothing_to_do());
  expect_runs({"cnn", "twin"});
  expect_epochs({1, 2, 3, 4});
}

TEST_F(RepairRunsTest, EverythingOfARunButItsDirectoryDeleted) {
  for (const auto& entry : std::filesystem::directory_iterator(run_directory_)) {
    std::filesystem::remove(entry.path());
  }
  EXPECT_FALSE(repair(path()).nothing_to_do());
  expect_runs({"twin"});
}

}  // namespace
}  // namespace ckp
