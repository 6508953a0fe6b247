// A journal whose fsync failed is never trusted again; what it was to make durable moves on into
// the next one.
#include <algorithm>

#include "ckp/format/journal_record.h"
#include "ckp/repair.h"
#include "runs/journal.h"
#include "store/layout.h"
#include "store_fixture.h"
#include "support/faulty_file_system.h"

namespace ckp {
namespace {

using test::expect_error;
using test::Fault;
using test::FaultyFileSystem;
using test::StoreTest;

class JournalRenewalTest : public StoreTest {
 protected:
  Store make() { return Store::create(path(), options()); }
  StoreOptions options() {
    StoreOptions options;
    options.file_system = fs_;
    return options;
  }
  static bool is_journal(const std::string& operation) {
    return operation.find("/journal-") != std::string::npos;
  }
  // The steps of all points in the run's journals, each journal's sorted; newest journal last.
  std::map<std::string, std::vector<std::int64_t>> points(const RunRecord& run) const {
    std::map<std::string, std::vector<std::int64_t>> all;
    for (const auto& entry :
         std::filesystem::directory_iterator(StoreLayout{path()}.run(run.directory))) {
      const std::string name = entry.path().filename().string();
      if (!parse_journal_name(name)) continue;
      for (const auto& record :
           format::decode_journal(read_journal_file(*posix_file_system(), entry.path())).records) {
        if (record.record.kind != format::JournalKind::metrics) continue;
        all[name].push_back(record.record.payload.find("step")->as_int());
      }
    }
    return all;
  }
  std::string first_journal_;
  std::shared_ptr<FaultyFileSystem> fs_ = std::make_shared<FaultyFileSystem>();
};

TEST_F(JournalRenewalTest, PointsOfAJournalThatCouldNotBeSyncedAreInTheNextOne) {
  Store store = make();
  ckp::Run run = store.create_run(run_options("a"));
  run.log(0, 1, {{"loss", 1.0}});
  save(run, 1);
  run.log(0, 2, {{"loss", 0.5}});
  run.log(0, 3, {{"loss", 0.4}});
  fs_->plan({.at = 1, .only = [](const std::string& operation) {
               return operation.starts_with("sync ") && is_journal(operation);
             }});
  const CheckpointRecord saved = save(run, 2);
  EXPECT_EQ(fs_->failures(), 1u);
  fs_->clear();
  const auto all = points(run.record());
  ASSERT_EQ(all.size(), 2u);
  const auto next = all.find(to_file_name(JournalName{1, saved.journal->journal}));
  ASSERT_NE(next, all.end());
  EXPECT_EQ(next->second, (std::vector<std::int64_t>{2, 3}));
  run.finish(RunStatus::completed);
  EXPECT_TRUE(store.verify({}).findings.empty());
  EXPECT_EQ(store.run("a").status, RunStatus::completed);
}

// Their names do not tell which of an attempt's journals came first.
TEST_F(JournalRenewalTest, ARunThatHasEndedStaysSoWhenTheIndexIsMadeAnew) {
  Store store = make();
  for (const char* name : {"a", "b", "c", "d", "e", "f"}) {
    ckp::Run run = store.create_run(run_options(name));
    run.log(0, 1, {{"loss", 1.0}});
    fs_->plan({.at = 1, .only = [](const std::string& operation) {
                 return operation.starts_with("sync ") && is_journal(operation);
               }});
    save(run, 1);
    fs_->clear();
    run.finish(RunStatus::completed);
  }
  store.rebuild_index();
  for (const RunRecord& run : store.runs()) EXPECT_EQ(run.status, RunStatus::completed) << run.name;
}

TEST_F(JournalRenewalTest, WhatCannotBeReadBackIsTold) {
  Store store = make();
  ckp::Run run = store.create_run(run_options("a"));
  save(run, 1);
  run.log(0, 2, {{"loss", 0.5}});
  const auto fails = [&](const std::string& operation) {
    return is_journal(operation) && (operation.starts_with("read ") ||
                                     (operation.starts_with("sync ") &&
                                      operation.find(first_journal_) != std::string::npos));
  };
  first_journal_ =
      to_file_name(JournalName{1, store.checkpoints(run.record().id)[0].journal->journal});
  fs_->plan({.at = 1, .forever = true, .only = fails});
  expect_error(ErrorCode::io, "logged since the last save may be lost", [&] { save(run, 2); });
  fs_->clear();
  EXPECT_EQ(save(run, 3).epoch, 3);  // training has gone on
  run.finish(RunStatus::completed);
  EXPECT_TRUE(store.verify({}).findings.empty());
}

TEST_F(JournalRenewalTest, AJournalThatNobodyWroteIsNotReadWhole) {
  Store store = make();
  RunRecord record;
  {
    ckp::Run run = store.create_run(run_options("a"));
    save(run, 1);
    record = run.record();
  }
  const auto directory = StoreLayout{path()}.run(record.directory);
  const auto journal =
      directory / to_file_name(JournalName{1, store.checkpoints(record.id)[0].journal->journal});
  std::filesystem::resize_file(journal, std::uint64_t{200} << 30);  // sparse
  const VerifyReport report = store.verify({});
  ASSERT_EQ(report.findings.size(), 1u);
  EXPECT_NE(report.findings[0].message.find(journal.filename().string()), std::string::npos);
  const RepairReport repaired = repair(path(), {});
  ASSERT_EQ(repaired.steps.size(), 1u);
  EXPECT_EQ(repaired.steps[0].action, RepairAction::leave);
  EXPECT_EQ(repaired.set_aside, "");
  EXPECT_EQ(store.resume_run("a").continued_from()->record().epoch, 1);
}

}  // namespace
}  // namespace ckp
