#include "runs/journal.h"

#include <gtest/gtest.h>

#include "runs/record_codec.h"
#include "store/layout.h"
#include "support/child_process.h"
#include "support/expect_error.h"
#include "support/faulty_file_system.h"
#include "support/temporary_directory.h"

namespace ckp {
namespace {

using format::JournalKind;
using test::expect_error;
using test::FaultyFileSystem;
using test::TemporaryDirectory;

class JournalTest : public testing::Test {
 protected:
  JournalTest() {
    run_.bytes.fill(std::byte{0xab});
    path_ = dir_ / run_directory_name("cnn", run_);
    fs_.make_directory(path_);
  }

  JournalWriter writer(std::uint32_t attempt = 1) { return {fs_, path_, run_, attempt}; }
  // A journal as a trainer begins it.
  JournalWriter begun(std::uint32_t attempt = 1) {
    JournalWriter journal = writer(attempt);
    if (attempt == 1) journal.append(JournalKind::run_created, 0, run_created_payload(record()));
    journal.append(
        JournalKind::attempt_opened, 0,
        attempt_payload(
            {.number = attempt, .continued_from = {}, .host = "h" + std::to_string(attempt)}));
    return journal;
  }
  static RunRecord record() {
    RunRecord run;
    run.name = "cnn";
    run.parameters = {{"lr", 0.5}};
    return run;
  }
  std::vector<std::string> names() { return posix_file_system()->list(path_); }
  RunJournals read() { return read_journals(fs_, path_, names()); }
  std::string check(const JournalMark& mark) {
    return check_mark(fs_, path_ / file_of(mark), mark);
  }
  std::string file_of(const JournalMark& mark) {
    for (const std::string& name : names()) {
      const auto parsed = parse_journal_name(name);
      if (parsed && parsed->journal == mark.journal) return name;
    }
    return "missing";
  }
  std::unique_ptr<File> raw(const JournalMark& mark) {
    return posix_file_system()->open(path_ / file_of(mark), OpenMode::read_write);
  }

  TemporaryDirectory dir_;
  FaultyFileSystem fs_{posix_file_system(), dir_.path()};
  Uuid run_;
  std::filesystem::path path_;
};

TEST_F(JournalTest, WhatWasWrittenIsRead) {
  JournalWriter journal = begun();
  journal.append(JournalKind::metrics, 3, Value::Map{{"x", 1}});
  journal.append(JournalKind::status, 3, status_payload(RunStatus::completed));
  journal.sync();
  const RunJournals read = this->read();
  ASSERT_TRUE(read.run);
  EXPECT_EQ(read.run->id, run_);
  EXPECT_EQ(read.run->name, "cnn");
  EXPECT_EQ(read.run->directory, run_directory_name("cnn", run_));
  EXPECT_EQ(read.run->parameters, record().parameters);
  EXPECT_EQ(read.run->status, RunStatus::completed);
  ASSERT_EQ(read.run->attempts.size(), 1u);
  EXPECT_EQ(read.run->attempts[0].host, "h1");
  ASSERT_EQ(read.files.size(), 1u);
  EXPECT_EQ(read.files[0].size, journal.mark().length);
  EXPECT_TRUE(read.files[0].gaps.empty());
  EXPECT_EQ(read.files[0].error, "");
}

TEST_F(JournalTest, ARecordIsOneWrite) {
  JournalWriter journal = writer();
  fs_.clear_log();
  journal.append(JournalKind::metrics, 0, Value::Map{{"x", std::string(100'000, 'x')}});
  ASSERT_EQ(fs_.log().size(), 1u);
  EXPECT_TRUE(fs_.log()[0].starts_with("write ")) << fs_.log()[0];
}

TEST_F(JournalTest, AttemptsAreMergedAndTheNewestTellsTheStatus) {
  {
    JournalWriter first = begun(1);
    first.append(JournalKind::status, 0, status_payload(RunStatus::failed));
  }
  EXPECT_EQ(read().run->status, RunStatus::failed);
  JournalWriter second = begun(2);
  const RunRecord run = *read().run;
  EXPECT_EQ(run.status, RunStatus::in_progress);
  ASSERT_EQ(run.attempts.size(), 2u);
  EXPECT_EQ(run.attempts[0].number, 1u);
  EXPECT_EQ(run.attempts[1].host, "h2");
}

TEST_F(JournalTest, AnAttemptThatWroteNothingChangesNothing) {
  begun(1).append(JournalKind::status, 0, status_payload(RunStatus::completed));
  const JournalWriter empty = writer(2);
  EXPECT_EQ(read().run->status, RunStatus::completed);
}

TEST_F(JournalTest, UnknownKindsAreSkipped) {
  JournalWriter journal = begun();
  journal.append(static_cast<JournalKind>(999), 0, "anything");
  EXPECT_EQ(read().run->status, RunStatus::in_progress);
  EXPECT_EQ(read().files[0].error, "");
}

TEST_F(JournalTest, WithoutARunCreatedRecordThereIsNoRun) {
  const JournalWriter journal = writer();
  const RunJournals read = this->read();
  EXPECT_FALSE(read.run);
  EXPECT_EQ(read.files.size(), 1u);
  EXPECT_FALSE(read_journals(fs_, path_, {}).run);
}

// Cut at every length: a reader finds a whole prefix of records, and the mark tells loss from a
// torn tail.
TEST_F(JournalTest, EveryTornTail) {
  JournalWriter journal = begun();
  const JournalMark marked = journal.mark();
  journal.append(JournalKind::status, 1, status_payload(RunStatus::completed));
  const std::uint64_t full = journal.mark().length;
  const auto file = raw(marked);
  for (std::uint64_t size = full; size-- > 0;) {
    file->truncate(size);
    const RunJournals read = this->read();
    ASSERT_EQ(read.files.size(), 1u);
    if (size < format::JournalHeader::size) {
      EXPECT_NE(read.files[0].error, "") << size;
      EXPECT_FALSE(read.run) << size;
    } else {
      EXPECT_EQ(read.files[0].error, "") << size;
    }
    if (size >= marked.length) {
      EXPECT_EQ(read.run->status, RunStatus::in_progress);
      EXPECT_EQ(read.files[0].gaps.size(), size > marked.length ? 1u : 0u);
      EXPECT_EQ(check(marked), "");
    } else {
      EXPECT_NE(check(marked).find("bytes of records are lost"), std::string::npos) << size;
    }
  }
}

TEST_F(JournalTest, EveryFlippedByteBelowTheMarkIsFound) {
  JournalWriter journal = begun();
  const JournalMark mark = journal.mark();
  const auto file = raw(mark);
  for (std::uint64_t at = 0; at < mark.length; ++at) {
    std::array<std::byte, 1> byte{};
    file->read_at(at, byte);
    byte[0] ^= std::byte{0x10};
    file->write_at(at, byte);
    EXPECT_NE(check(mark).find("are damaged"), std::string::npos) << at;
    const RunJournals read = this->read();
    EXPECT_TRUE(!read.files[0].gaps.empty() || read.files[0].error != "") << at;
    byte[0] ^= std::byte{0x10};
    file->write_at(at, byte);
  }
  EXPECT_EQ(check(mark), "");
}

TEST_F(JournalTest, AMarkWithoutItsJournal) {
  JournalMark mark;
  mark.length = 500;
  EXPECT_NE(
      check(mark).find("missing: the journal is missing; the checkpoint was saved when it had "
                       "500 bytes"),
      std::string::npos);
}

TEST_F(JournalTest, AnotherRunsJournalIsNotTakenForOurs) {
  JournalWriter journal = begun();
  Uuid other;
  other.bytes.fill(std::byte{0xcd});
  const std::filesystem::path elsewhere = dir_ / run_directory_name("cnn", other);
  std::filesystem::create_directory(elsewhere);
  const std::string name = file_of(journal.mark());
  std::filesystem::copy_file(path_ / name, elsewhere / name);
  const RunJournals moved = read_journals(fs_, elsewhere, {name});
  EXPECT_FALSE(moved.run);
  EXPECT_NE(moved.files[0].error.find("stands in the directory of run " + other.hex()),
            std::string::npos);
  // A journal under another's name.
  const std::string swapped = to_file_name(JournalName{.attempt = 9, .journal = other});
  std::filesystem::copy_file(path_ / name, path_ / swapped);
  const RunJournals read = read_journals(fs_, path_, {swapped});
  EXPECT_NE(read.files[0].error.find("the file name " + other.hex()), std::string::npos);
}

TEST_F(JournalTest, OtherFilesAreNotRead) {
  const JournalWriter journal = begun();
  EXPECT_EQ(read_journals(fs_, path_, {"x.ckp", "journal-", "notes.txt"}).files.size(), 0u);
}

TEST_F(JournalTest, AFailedAppendIsCutBackAndTheNextOneSucceeds) {
  JournalWriter journal = begun();
  const JournalMark before = journal.mark();
  fs_.plan({.at = 1, .code = ErrorCode::out_of_space, .torn_write = true});
  expect_error(ErrorCode::out_of_space, "injected",
               [&] { journal.append(JournalKind::status, 0, status_payload(RunStatus::failed)); });
  EXPECT_EQ(journal.mark(), before);
  EXPECT_EQ(raw(before)->status().size, before.length);
  journal.append(JournalKind::status, 0, status_payload(RunStatus::completed));
  EXPECT_EQ(read().run->status, RunStatus::completed);
  EXPECT_TRUE(read().files[0].gaps.empty());
  EXPECT_EQ(check(journal.mark()), "");
}

TEST_F(JournalTest, WhatCannotBeCutBackIsATornTail) {
  JournalWriter journal = begun();
  fs_.plan({.at = 1, .code = ErrorCode::io, .forever = true, .torn_write = true});
  expect_error(ErrorCode::io, "injected fault 1: write",
               [&] { journal.append(JournalKind::status, 0, status_payload(RunStatus::failed)); });
  fs_.clear();
  EXPECT_EQ(read().run->status, RunStatus::in_progress);
  EXPECT_EQ(read().files[0].gaps.size(), 1u);
  EXPECT_EQ(check(journal.mark()), "");
}

TEST_F(JournalTest, AFailedSyncIsFinal) {
  JournalWriter journal = begun();
  fs_.plan({.at = 1});
  expect_error(ErrorCode::io, "injected", [&] { journal.sync(); });
  expect_error(ErrorCode::io, "an earlier operation failed", [&] { journal.sync(); });
  expect_error(ErrorCode::io, "an earlier operation failed",
               [&] { journal.append(JournalKind::metrics, 0, Value::Map{}); });
}

TEST_F(JournalTest, AJournalThatCannotBeBegunLeavesNoFile) {
  for (std::uint64_t k = 1; k <= 3; ++k) {  // create, lock, write
    fs_.plan({.at = k});
    expect_error(ErrorCode::io, "injected", [&] { (void)writer(); });
    EXPECT_TRUE(names().empty()) << k;
  }
}

TEST_F(JournalTest, ARunIsHeldAsLongAsItsWriterLives) {
  EXPECT_FALSE(run_is_held(fs_, path_, names()));
  {
    const JournalWriter first = begun(1);
    EXPECT_TRUE(run_is_held(fs_, path_, names()));
  }
  EXPECT_FALSE(run_is_held(fs_, path_, names()));
  const JournalWriter second = begun(2);
  EXPECT_TRUE(run_is_held(fs_, path_, names()));
  EXPECT_FALSE(run_is_held(fs_, path_, {"journal-000009-" + run_.hex()}));  // gone meanwhile
}

TEST_F(JournalTest, AKilledOwnerHoldsNothingThoughItsWorkerLives) {
  const test::Gate ready;
  const test::Gate end;
  test::ChildProcess trainer([&] {
    const JournalWriter journal = begun();
    const test::ChildProcess worker([&] {
      ready.open();
      end.pass();
      return 0;
    });
    test::Gate().pass();
    return 0;
  });
  ready.pass();
  EXPECT_TRUE(run_is_held(fs_, path_, names()));
  trainer.kill();
  trainer.wait();
  EXPECT_FALSE(run_is_held(fs_, path_, names()));
  end.open();
}

TEST_F(JournalTest, AForkedChildCannotAppend) {
  JournalWriter journal = begun();
  test::ChildProcess child([&] {
    try {
      journal.append(JournalKind::metrics, 0, Value::Map{});
      return 1;
    } catch (const Error& error) {
      return error.code() == ErrorCode::invalid_argument ? 0 : 2;
    }
  });
  EXPECT_EQ(child.wait(), 0);
  EXPECT_EQ(raw(journal.mark())->status().size, journal.mark().length);
}

}  // namespace
}  // namespace ckp
