// Repair of everything besides packs: STORE, the lock file, journals, the index.
#include <fstream>

#include "ckp/format/journal_record.h"
#include "index/index.h"
#include "repair_fixture.h"

namespace ckp {
namespace {

using test::expect_error;
using test::read_bytes;
using test::RepairTest;
using test::write_bytes;

class RepairFilesTest : public RepairTest {
 protected:
  RepairReport expect_one(RepairAction action, const std::vector<std::filesystem::path>& damaged) {
    const RepairReport done = repair_and_check(damaged);
    EXPECT_EQ(done.steps.size(), 1u);
    if (!done.steps.empty()) {
      EXPECT_EQ(to_string(done.steps[0].action), to_string(action));
    }
    expect_epochs({1, 2, 3, 4});
    return done;
  }
  std::unique_ptr<Index> open_index(FileSystem& fs) const {
    const StoreLayout layout{path()};
    return Index::open(fs, layout.index(), layout.lock(), Store::open(path()).uuid());
  }
  std::size_t findings() const { return Store::open(path()).verify().findings.size(); }
  RunRecord run_record() const { return Store::open(path()).run("cnn"); }
};

TEST_F(RepairFilesTest, ADamagedStoreFileIsWrittenAnewWithItsUuid) {
  const Uuid uuid = Store::open(path()).uuid();
  flip(path() / "STORE", 45);
  expect_error(ErrorCode::corrupt, "STORE", [&] { Store::open(path()); });
  const RepairReport done = expect_one(RepairAction::rewrite_identity, {path() / "STORE"});
  EXPECT_TRUE(done.restores_all());
  EXPECT_EQ(Store::open(path()).uuid(), uuid);
}

TEST_F(RepairFilesTest, AMissingStoreFileIsMadeAgain) {
  const Uuid uuid = Store::open(path()).uuid();
  std::filesystem::remove(path() / "STORE");
  expect_error(ErrorCode::not_found, "ckptool repair", [&] { Store::open(path()); });
  expect_one(RepairAction::rewrite_identity, {});
  EXPECT_EQ(Store::open(path()).uuid(), uuid);
}

TEST_F(RepairFilesTest, AnotherStoresFileIsExchangedForItsOwn) {
  const Uuid uuid = Store::open(path()).uuid();
  const Store other = Store::create(directory_ / "other");
  write_bytes(path() / "STORE", read_bytes(other.path() / "STORE"));
  for (const std::string& word : {path().string() + "/STORE: ", other.uuid().hex(), uuid.hex(),
                                  "ckptool repair " + path().string()}) {
    expect_error(ErrorCode::corrupt, word, [&] { Store::open(path()); });
  }
  const RepairReport done = expect_one(RepairAction::rewrite_identity, {path() / "STORE"});
  EXPECT_TRUE(done.restores_all());
  EXPECT_EQ(Store::open(path()).uuid(), uuid);
}

// It is of no index here, so that the store's own file is believed.
TEST_F(RepairFilesTest, AnotherStoresLockFileDoesNotSayWhoseStoreThisIs) {
  const Uuid uuid = Store::open(path()).uuid();
  Store other = Store::create(directory_ / "other");
  other.create_run(run_options("a"));
  ASSERT_EQ(other.runs().size(), 1u);
  write_bytes(path() / "lock", read_bytes(other.path() / "lock"));
  EXPECT_EQ(Store::open(path()).uuid(), uuid);
  expect_one(RepairAction::rebuild_index, {});
  EXPECT_EQ(Store::open(path()).uuid(), uuid);
}

TEST_F(RepairFilesTest, NoStoreIsMadeOverTheRestOfOne) {
  std::filesystem::remove(path() / "STORE");
  for (const std::string_view gone : {"index", "reserve", "lock", "nothing more"}) {
    SCOPED_TRACE(gone);
    std::filesystem::remove_all(path() / gone);
    const auto before = everything();
    expect_error(ErrorCode::invalid_argument, "ckptool repair", [&] { Store::create(path()); });
    expect_error(ErrorCode::invalid_argument, "ckptool repair",
                 [&] { Store::open_or_create(path()); });
    EXPECT_EQ(everything(), before);
  }
}

TEST_F(RepairFilesTest, WithTheLockFileMissingTooTheStoreGetsANewUuid) {
  const Uuid uuid = Store::open(path()).uuid();
  std::filesystem::remove(path() / "STORE");
  std::filesystem::remove(path() / "lock");
  expect_error(ErrorCode::not_found, "ckptool repair", [&] { Store::open(path()); });
  expect_one(RepairAction::rewrite_identity, {});
  EXPECT_NE(Store::open(path()).uuid(), uuid);
  ckp::Run run = Store::open(path()).resume_run("cnn");
  EXPECT_EQ(run.continued_from()->record().epoch, 4);
}

TEST_F(RepairFilesTest, WithTheLockFileDamagedTooTheStoreGetsANewUuid) {
  flip(path() / "STORE", 45);
  flip(path() / "lock", 100);
  const RepairReport done = repair_and_check({path() / "STORE"});
  EXPECT_EQ(done.steps.size(), 2u);  // and the index is made anew
  EXPECT_TRUE(done.restores_all());
  expect_epochs({1, 2, 3, 4});
}

TEST_F(RepairFilesTest, ADamagedStateBlockCostsAnIndex) {
  flip(path() / "lock", 100);
  const VerifyReport found = Store::open(path()).verify();
  EXPECT_TRUE(found.clean()) << "nothing depends on it";
  ASSERT_EQ(found.notes.size(), 1u);
  EXPECT_NE(found.notes[0].find("state block"), std::string::npos);
  flip(path() / "lock", 100);
  expect_one(RepairAction::rebuild_index, {});
}

TEST_F(RepairFilesTest, ADeletedIndexIsMadeAnew) {
  std::filesystem::remove_all(path() / "index");
  expect_one(RepairAction::rebuild_index, {});
  std::filesystem::remove_all(path() / "index");
  const VerifyReport found = Store::open(path()).verify();
  EXPECT_TRUE(found.clean());
  ASSERT_EQ(found.notes.size(), 1u);
  EXPECT_NE(found.notes[0].find("not as it was left"), std::string::npos);
}

TEST_F(RepairFilesTest, AFileInPlaceOfTheIndexIsSetAside) {
  for (const bool asked_before : {false, true}) {
    SCOPED_TRACE(asked_before);
    std::filesystem::remove_all(path() / "index");
    std::ofstream(path() / "index") << "notes";
    if (asked_before) {
      EXPECT_EQ(Store::open(path()).runs().size(), 2u);  // the files have the answer
    }
    const VerifyReport found = Store::open(path()).verify();
    ASSERT_EQ(found.findings.size(), 1u);
    EXPECT_NE(found.findings[0].message.find("where the index belongs"), std::string::npos);
    const RepairReport done = repair(path());
    ASSERT_EQ(done.steps.size(), 2u);
    EXPECT_EQ(to_string(done.steps[0].action), "set_aside");
    EXPECT_EQ(to_string(done.steps[1].action), "rebuild_index");
    EXPECT_TRUE(done.restores_all());
    const std::filesystem::path file = done.steps[0].path;
    const auto kept = std::filesystem::path(done.set_aside) / file.filename();
    EXPECT_EQ(read_bytes(kept).size(), 5u);
    EXPECT_TRUE(std::filesystem::is_directory(path() / "index"));
    expect_clean();
    EXPECT_TRUE(repair(path()).nothing_to_do());
    expect_epochs({1, 2, 3, 4});
  }
}

TEST_F(RepairFilesTest, AMissingDirectoryOfRunsIsMadeByRepairOnly) {
  const auto runs = path() / "runs";
  std::filesystem::rename(runs, directory_ / "away");
  for (const bool has_index : {true, false}) {
    SCOPED_TRACE(has_index);
    if (!has_index) std::filesystem::remove_all(path() / "index");
    Store store = Store::open(path());
    expect_error(ErrorCode::corrupt, "ckptool repair", [&] { store.verify(); });
    expect_error(ErrorCode::corrupt, "ckptool repair", [&] { store.resume_run("cnn"); });
    expect_error(ErrorCode::corrupt, "ckptool repair",
                 [&] { store.create_run(run_options("new")); });
    EXPECT_FALSE(std::filesystem::exists(runs));
  }
  EXPECT_EQ(plan_repair(path()).steps.size(), 1u);
  EXPECT_FALSE(std::filesystem::exists(runs));
  const RepairReport done = repair(path());
  ASSERT_EQ(done.steps.size(), 1u);
  EXPECT_EQ(to_string(done.steps[0].action), "make_runs");
  EXPECT_FALSE(done.restores_all());
  repair(path());
  EXPECT_TRUE(Store::open(path()).verify().clean());
  EXPECT_TRUE(Store::open(path()).runs().empty());
  EXPECT_TRUE(repair(path()).nothing_to_do());
}

TEST_F(RepairFilesTest, AfterRunsWasMadeAnewTheIndexTellsWhatIsLost) {
  std::filesystem::remove_all(path() / "runs");
  repair(path());
  const VerifyReport found = Store::open(path()).verify();
  EXPECT_EQ(found.findings.size(), 5u);
  const RepairReport done = repair(path());
  EXPECT_EQ(done.steps.size(), 5u);
  for (const RepairStep& step : done.steps) EXPECT_EQ(to_string(step.action), "forget");
  EXPECT_TRUE(Store::open(path()).verify().clean());
}

TEST_F(RepairFilesTest, ARottenIndexIsFoundAndMadeAnew) {
  const auto file = path() / "index" / std::string(index_data_file);
  const std::size_t stride = read_bytes(file).size() / 29;
  std::size_t found = 0;
  for (std::size_t at = 100; at < read_bytes(file).size(); at += stride) {  // a new one is smaller
    SCOPED_TRACE(at);
    flip(file, at);
    hide_change_of_index();
    const RepairReport plan = plan_repair(path());
    if (plan.nothing_to_do()) continue;  // bytes that mean nothing
    ++found;
    EXPECT_EQ(plan.steps.at(0).action, RepairAction::rebuild_index);
    expect_one(RepairAction::rebuild_index, {});
  }
  EXPECT_GT(found, 0u);
}

// Its own sums are right: only the files say that a row is missing.
TEST_F(RepairFilesTest, AnIndexThatLacksACheckpointIsFound) {
  {
    const auto fs = posix_file_system();
    const auto index = open_index(*fs);
    index->update([&](IndexUpdate& update) { update.erase_checkpoint(saved_[2].id); });
    EXPECT_TRUE(index->check().empty());
  }
  hide_change_of_index();
  const VerifyReport report = Store::open(path()).verify();
  ASSERT_FALSE(report.findings.empty());
  for (const Finding& finding : report.findings) {
    EXPECT_TRUE(finding.index);
    EXPECT_NE(finding.message.find("the packs and journals say"), std::string::npos);
  }
  expect_one(RepairAction::rebuild_index, {});
}

TEST_F(RepairFilesTest, AnIndexWhoseRunLagsInItsStatusIsNoDamage) {
  RunRecord record = run_record();
  record.status = RunStatus::in_progress;
  {
    const auto fs = posix_file_system();
    const auto index = open_index(*fs);
    index->update([&](IndexUpdate& update) { update.put_run(record); });
  }
  hide_change_of_index();
  EXPECT_TRUE(Store::open(path()).verify().clean());
}

TEST_F(RepairFilesTest, AJournalWithADamagedHeaderComesBackWhole) {
  const RunRecord before = run_record();
  const auto sound = read_bytes(journal());
  flip(journal(), 50);
  EXPECT_EQ(findings(), 1u);
  const RepairReport done = expect_one(RepairAction::mend_journal, {journal()});
  EXPECT_TRUE(done.restores_all());
  EXPECT_EQ(read_bytes(journal()), sound);
  EXPECT_EQ(run_record(), before);
}

TEST_F(RepairFilesTest, ALostRecordIsMarkedAndTheOthersStay) {
  const auto sound = read_bytes(journal());
  flip(journal(), sound.size() / 2);
  EXPECT_EQ(findings(), 1u);
  const RepairReport done = expect_one(RepairAction::mend_journal, {journal()});
  EXPECT_FALSE(done.restores_all());
  const auto records = format::decode_journal(sound).records;
  const std::string kept = fmt::format("; {} records of it are kept, ", records.size() - 1);
  EXPECT_NE(done.steps.at(0).message.find(kept), std::string::npos) << done.steps[0].message;
  const VerifyReport after = Store::open(path()).verify();
  ASSERT_EQ(after.notes.size(), 1u);
  EXPECT_NE(after.notes[0].find("was repaired"), std::string::npos);
  EXPECT_EQ(run_record().name, "cnn");
  // What is marked is that damage and no other.
  flip(journal(), 140);
  EXPECT_EQ(findings(), 1u);
}

TEST_F(RepairFilesTest, ATruncatedADeletedAndAZeroedJournal) {
  const auto file = journal();
  const auto sound = read_bytes(file);
  const std::map<std::string, std::function<void()>> damages = {
      {"cut", [&] { std::filesystem::resize_file(file, sound.size() / 2); }},
      {"cut in the header", [&] { std::filesystem::resize_file(file, 60); }},
      {"deleted", [&] { std::filesystem::remove(file); }},
      {"zeroed", [&] { write_bytes(file, std::vector<std::byte>(sound.size())); }},
  };
  for (const auto& [name, damage] : damages) {
    SCOPED_TRACE(name);
    write_bytes(file, sound);
    Store::open(path()).rebuild_index();
    damage();
    EXPECT_EQ(findings(), 1u);
    const bool exists = std::filesystem::exists(file);
    const RepairReport done =
        repair_and_check(exists ? std::vector{file} : std::vector<std::filesystem::path>{});
    EXPECT_EQ(done.steps.size(), 1u);
    EXPECT_FALSE(done.restores_all());
    expect_epochs({1, 2, 3, 4});
    EXPECT_EQ(run_record().name, "cnn");
  }
}

TEST_F(RepairFilesTest, ATornTailIsNoDamage) {
  std::ofstream(journal(), std::ios::app) << "torn";
  EXPECT_TRUE(repair(path()).nothing_to_do());
}

TEST_F(RepairFilesTest, TheJournalOfARunThatIsTrainedIsLeft) {
  Store store = Store::open(path());
  const auto file = journal();
  ckp::Run run = store.resume_run("cnn");
  flip(file, read_bytes(file).size() / 2);
  const auto before = everything();
  const RepairReport done = repair(path());
  ASSERT_EQ(done.steps.size(), 1u);
  EXPECT_EQ(done.steps[0].action, RepairAction::leave);
  EXPECT_NE(done.steps[0].message.find("when it has ended"), std::string::npos);
  EXPECT_FALSE(done.restores_all());
  EXPECT_EQ(everything(), before);
}

}  // namespace
}  // namespace ckp
