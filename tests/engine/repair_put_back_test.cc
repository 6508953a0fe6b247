// Repair of a store in which hands have moved packs, journals and run directories: all of it is
// sound, and goes back to its place.
#include <algorithm>

#include "repair_fixture.h"

namespace ckp {
namespace {

namespace fs = std::filesystem;
using test::RepairTest;
using test::SmallState;

// Beside "cnn" and "twin" a run "other", whose first checkpoint shares its large chunk with cnn's
// second.
class RepairPutBackTest : public RepairTest {
 protected:
  void SetUp() override {
    RepairTest::SetUp();
    Store store = Store::open(path());
    ckp::Run run = store.create_run(run_options("other"));
    for (const int version : {2, 7}) {
      SaveOptions options;
      options.epoch = options.step = version;
      const auto report = run.save(state(version).dict(), options).wait();
      if (version == 2) {
        ASSERT_EQ(report.chunks_written, 0u);
      }
      others_.push_back(report.checkpoint);
      other_directory_ = report.path.parent_path();
    }
    run.finish(RunStatus::completed);
    before_ = files_of_runs();
    records_ = store.runs();
  }

  std::set<std::string> files_of_runs() const {
    std::set<std::string> files;
    for (const auto& entry : fs::recursive_directory_iterator(path() / "runs")) {
      if (entry.is_regular_file()) files.insert(entry.path().lexically_relative(path()).string());
    }
    return files;
  }
  static fs::path journal_in(const fs::path& directory) {
    for (const auto& entry : fs::directory_iterator(directory)) {
      if (parse_journal_name(entry.path().filename().string())) return entry.path();
    }
    return {};
  }
  static fs::path with_id(const fs::path& directory, const std::string& id) {
    const std::string name = directory.filename().string();
    return directory.parent_path() / (name.substr(0, name.size() - id.size()) + id);
  }
  static void swap(const fs::path& a, const fs::path& b) {
    const fs::path between = a.parent_path() / "between";
    fs::rename(a, between);
    fs::rename(b, a);
    fs::rename(between, b);
  }
  static std::set<std::string> actions_of(const RepairReport& report) {
    std::set<std::string> names;
    for (const RepairStep& step : report.steps) names.emplace(to_string(step.action));
    return names;
  }
  void expect_others() const {
    const Store store = Store::open(path());
    EXPECT_TRUE(state(2).is_in(store.open_checkpoint(others_.at(0))));
    EXPECT_TRUE(state(7).is_in(store.open_checkpoint(others_.at(1))));
  }
  // The store is found damaged, and after `moves` renames everything is as it was.
  void expect_put_back(std::size_t moves) {
    EXPECT_FALSE(Store::open(path()).verify().clean());
    const RepairReport done = repair_and_check({});
    EXPECT_EQ(actions_of(done), (std::set<std::string>{"put_back", "rebuild_index"}));
    EXPECT_EQ(done.steps.size(), moves + 1);
    EXPECT_TRUE(done.restores_all());
    EXPECT_EQ(done.set_aside, "");
    EXPECT_EQ(files_of_runs(), before_);
    EXPECT_EQ(Store::open(path()).runs(), records_);
    expect_epochs({1, 2, 3, 4});
    expect_others();
  }

  std::vector<CheckpointRecord> others_;
  std::vector<RunRecord> records_;
  fs::path other_directory_;
  std::set<std::string> before_;
};

TEST_F(RepairPutBackTest, APackInAnotherRunsDirectory) {
  const fs::path moved = other_directory_ / packs_[2].filename();
  fs::rename(packs_[2], moved);
  const RepairReport plan = plan_repair(path());
  EXPECT_EQ(plan.steps.at(0).path, moved.string());
  EXPECT_EQ(plan.steps.at(0).run, "cnn");
  EXPECT_NE(plan.steps.at(0).message.find("it goes to " + packs_[2].string()), std::string::npos);
  expect_put_back(1);
}

TEST_F(RepairPutBackTest, AJournalInAnotherRunsDirectory) {
  const fs::path file = journal();
  fs::rename(file, other_directory_ / file.filename());
  expect_put_back(1);
}

TEST_F(RepairPutBackTest, TwoJournalsUnderEachOthersNames) {
  const fs::path one = journal(), other = journal_in(other_directory_);
  swap(one, other);
  expect_put_back(3);  // one of them makes way first
}

// Killed after the first, or the second, of the three renames.
TEST_F(RepairPutBackTest, JournalsOfWhichOneHasMadeWay) {
  const fs::path one = journal(), other = journal_in(other_directory_);
  swap(one, other);
  const std::string between = one.string() + ".put-back." + other.filename().string();
  fs::rename(other, between);
  expect_put_back(2);
  fs::rename(one, between);
  Store::open(path()).rebuild_index();
  expect_put_back(1);
}

TEST_F(RepairPutBackTest, ADirectoryUnderAnUnknownId) {
  const fs::path wrong = with_id(run_directory_, "0123456789abcdef0123456789abcdef");
  fs::rename(run_directory_, wrong);
  const RepairReport plan = plan_repair(path());
  EXPECT_EQ(plan.steps.at(0).path, wrong.string());
  EXPECT_NE(plan.steps.at(0).message.find(run_directory_.string()), std::string::npos);
  expect_put_back(1);
}

TEST_F(RepairPutBackTest, TwoDirectoriesUnderEachOthersNames) {
  swap(run_directory_, other_directory_);
  expect_put_back(4 + 1 + 2 + 1);  // packs and journals of both
}

// The one takes the name that the other gives up.
TEST_F(RepairPutBackTest, ADirectoryUnderTheNameOfOneThatWasRenamed) {
  fs::rename(other_directory_, with_id(other_directory_, "0123456789abcdef0123456789abcdef"));
  fs::rename(run_directory_, other_directory_);
  expect_put_back(2);
}

TEST_F(RepairPutBackTest, ADirectoryOfARunThatIsTrainedIsLeftUntilThatHasEnded) {
  const fs::path wrong = with_id(run_directory_, "0123456789abcdef0123456789abcdef");
  {
    Store store = Store::open(path());
    const ckp::Run run = store.resume_run("cnn");
    before_ = files_of_runs();
    records_ = store.runs();
    fs::rename(run_directory_, wrong);
    const auto files = everything();
    const RepairReport done = repair(path());
    EXPECT_TRUE(actions_of(done).contains("leave"));
    EXPECT_FALSE(actions_of(done).contains("set_aside"));
    EXPECT_FALSE(done.restores_all());
    EXPECT_EQ(everything(), files);
    expect_others();
  }
  const RepairReport done = repair_and_check({});
  EXPECT_TRUE(done.restores_all());
  EXPECT_TRUE(fs::exists(run_directory_));
  expect_epochs({1, 2, 3, 4});
}

// Its run is gone; what another run needs of it stays where it is.
TEST_F(RepairPutBackTest, APackWhoseRunHasNoDirectoryIsLeft) {
  const fs::path moved = other_directory_ / packs_[2].filename();
  fs::rename(packs_[2], moved);
  fs::remove_all(run_directory_);
  const RepairReport done = repair(path());
  EXPECT_TRUE(actions_of(done).contains("leave"));
  EXPECT_FALSE(actions_of(done).contains("set_aside"));
  EXPECT_FALSE(done.restores_all());
  EXPECT_TRUE(fs::exists(moved));
  expect_others();
  const RepairReport again = repair(path());
  ASSERT_EQ(again.steps.size(), 1u);
  EXPECT_EQ(to_string(again.steps[0].action), "leave");
}

// The sound file is what is left of the pack, whatever bears its name.
TEST_F(RepairPutBackTest, APackWhosePlaceIsTakenByRubbish) {
  fs::rename(packs_[2], other_directory_ / packs_[2].filename());
  test::write_bytes(packs_[2], std::vector<std::byte>(5'000));
  const RepairReport done = repair_and_check({packs_[2]});
  EXPECT_EQ(files_of_runs(), before_);
  expect_epochs({1, 2, 3, 4});
  expect_others();
}

// Damage elsewhere waits for the repair that comes after.
TEST_F(RepairPutBackTest, DamageIsMendedByTheRepairAfterIt) {
  fs::rename(packs_[2], other_directory_ / packs_[2].filename());
  flip_manifest(packs_[4], 1);
  EXPECT_EQ(actions_of(repair(path())), (std::set<std::string>{"put_back", "rebuild_index"}));
  EXPECT_EQ(actions_of(repair_and_check({packs_[4]})), std::set<std::string>{"mend_pack"});
  EXPECT_EQ(files_of_runs(), before_);
  expect_epochs({1, 2, 3, 4});
  expect_others();
}

}  // namespace
}  // namespace ckp
