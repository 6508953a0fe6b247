#include "ckp/verify.h"

#include <algorithm>
#include <fstream>

#include "ckp/load.h"
#include "ckp/repair.h"
#include "ckp/save.h"
#include "sample_states.h"
#include "store_fixture.h"
#include "support/faulty_file_system.h"
#include "support/memory_directory.h"

namespace ckp {
namespace {

using test::read_bytes;
using test::SmallState;
using test::StoreTest;
using test::write_bytes;

class VerifyTest : public StoreTest {
 protected:
  VerifyTest() : StoreTest(test::memory_directory()) {}
};

bool names(const VerifyReport& report, const std::string& text) {
  return std::any_of(report.findings.begin(), report.findings.end(), [&](const Finding& finding) {
    return finding.message.find(text) != std::string::npos;
  });
}

TEST_F(VerifyTest, ASoundStoreIsCleanAtEveryLevel) {
  Store store = Store::create(path());
  ckp::Run run = store.create_run(run_options("cnn"));
  save(run, 1);
  save(run, 2);
  for (const auto level : {VerifyLevel::structure, VerifyLevel::stored, VerifyLevel::full}) {
    const VerifyReport report = store.verify({.level = level});
    EXPECT_TRUE(report.clean());
    EXPECT_EQ(report.checkpoints, 2u);
    EXPECT_EQ(report.runs, 1u);
    EXPECT_GT(report.bytes, 0u);
  }
}

// Every byte of a pack changed in turn: verify reports each, and load reports it or returns exact
// data.
// As repair does.
TEST_F(VerifyTest, AStoreFileThatHasGrownIsReported) {
  Store::create(path());
  std::ofstream(path() / "STORE", std::ios::app | std::ios::binary) << 'x';
  const VerifyReport report = Store::open(path()).verify();
  ASSERT_EQ(report.findings.size(), 1u);
  EXPECT_EQ(report.findings[0].path, (path() / "STORE").string());
  EXPECT_NE(report.findings[0].message.find("129 bytes, expected 128"), std::string::npos);
}

TEST_F(VerifyTest, EveryFlippedByteOfAPackIsReported) {
  Store store = Store::create(path());
  ckp::Run run = store.create_run(run_options("cnn"));
  const SmallState state(1, 600);
  const auto saved = run.save(state.dict(), {.epoch = 1, .step = 1}).wait();
  const auto sound = read_bytes(saved.path);
  std::size_t silent = 0, wrong = 0, refused = 0;
  for (std::size_t at = 0; at < sound.size(); ++at) {
    auto damaged = sound;
    damaged[at] ^= std::byte{0x20};
    write_bytes(saved.path, damaged);
    if (verify_file(saved.path.string()).findings.empty()) {
      ++silent;
      ADD_FAILURE() << "byte " << at << " of " << sound.size() << ": verify found nothing";
    }
    try {
      if (!state.is_in(store.open_checkpoint(saved.checkpoint))) ++wrong;
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_EQ(silent, 0u);
  EXPECT_EQ(wrong, 0u);
  EXPECT_GT(refused, sound.size() / 4);
  std::cout << sound.size() << " bytes flipped, " << silent << " unseen by verify, " << refused
            << " refused by load, " << wrong << " loaded wrong\n";
}

TEST_F(VerifyTest, DamageIsNamedByRunEpochTensorChunkFileAndOffset) {
  Store store = Store::create(path());
  ckp::Run run = store.create_run(run_options("cnn"));
  save(run, 1);
  const auto saved = run.save(SmallState(2).dict(), {.epoch = 2, .step = 200}).wait();
  // Two more checkpoints share the chunks.
  run.save(SmallState(2).dict(), {.epoch = 3, .step = 300}).wait();
  run.save(SmallState(2).dict(), {.epoch = 4, .step = 400}).wait();
  auto bytes = read_bytes(saved.path);
  // In the large tensor's chunk: the small one's shared chunk is a few bytes long.
  bytes[bytes.size() / 2] ^= std::byte{1};
  write_bytes(saved.path, bytes);
  const VerifyReport report = store.verify();
  ASSERT_EQ(report.findings.size(), 1u);
  const Finding& finding = report.findings.front();
  EXPECT_EQ(finding.run, "cnn");
  EXPECT_EQ(finding.tensor, "model/large");
  EXPECT_EQ(finding.path, saved.path.string());
  EXPECT_GE(finding.chunk, 0);
  EXPECT_GT(finding.offset, 0);
  EXPECT_GE(finding.epoch, 2);
  EXPECT_EQ(finding.other_checkpoints, 2u);
  EXPECT_NE(finding.message.find("checksum"), std::string::npos);
}

TEST_F(VerifyTest, AMissingPackIsReportedForEachCheckpointThatNeedsIt) {
  Store store = Store::create(path());
  ckp::Run run = store.create_run(run_options("cnn"));
  const auto first = run.save(SmallState(1).dict(), {.epoch = 1, .step = 1}).wait();
  run.save(SmallState(1).dict(), {.epoch = 2, .step = 2}).wait();
  std::filesystem::remove(first.path);
  const VerifyReport report = store.verify();
  ASSERT_FALSE(report.findings.empty());
  EXPECT_TRUE(names(report, "is missing"));
  EXPECT_EQ(report.findings.front().epoch, 2);
}

TEST_F(VerifyTest, SwappedPacksAreReported) {
  Store store = Store::create(path());
  ckp::Run run = store.create_run(run_options("cnn"));
  const auto a = run.save(SmallState(1).dict(), {.epoch = 1, .step = 1}).wait();
  const auto b = run.save(SmallState(2).dict(), {.epoch = 2, .step = 2}).wait();
  const auto bytes_a = read_bytes(a.path), bytes_b = read_bytes(b.path);
  write_bytes(a.path, bytes_b);
  write_bytes(b.path, bytes_a);
  EXPECT_TRUE(names(store.verify(), "another name"));
  EXPECT_THROW(store.open_checkpoint(a.checkpoint), Error);
}

TEST_F(VerifyTest, LossBelowTheJournalMarkIsDamageAboveItATornTail) {
  Store store = Store::create(path());
  std::filesystem::path journal;
  std::uintmax_t marked = 0;
  {
    ckp::Run run = store.create_run(run_options("cnn"));
    run.log(0, 1, {{"train/loss", 2.0}});
    save(run, 1);
    for (const auto& entry :
         std::filesystem::directory_iterator(path() / "runs" / run.record().directory)) {
      if (entry.path().filename().string().starts_with("journal-")) journal = entry.path();
    }
    marked = std::filesystem::file_size(journal);
    run.log(0, 2, {{"train/loss", 1.0}});
  }
  std::filesystem::resize_file(journal, marked + 7);
  const VerifyReport torn = store.verify();
  EXPECT_TRUE(torn.clean());
  ASSERT_EQ(torn.notes.size(), 1u);
  EXPECT_NE(torn.notes.front().find("torn tail"), std::string::npos);

  std::filesystem::resize_file(journal, marked - 7);
  EXPECT_FALSE(store.verify().clean());
}

TEST_F(VerifyTest, StopsWhenAskedAndSaysThatItIsNotComplete) {
  Store store = Store::create(path());
  ckp::Run run = store.create_run(run_options("cnn"));
  save(run, 1);
  const VerifyReport report = store.verify({.cancelled = [] { return true; }});
  EXPECT_FALSE(report.complete);
  EXPECT_FALSE(report.clean());
}

TEST_F(VerifyTest, APackCopiedIntoAnotherRunIsBlamedAndTheRealOneIsNot) {
  Store store = Store::create(path());
  // Whichever directory is listed first: one copy each way.
  ckp::Run a = store.create_run(run_options("a"));
  ckp::Run b = store.create_run(run_options("b"));
  const auto directory = [&](const ckp::Run& run) {
    return path() / "runs" / run.record().directory;
  };
  const auto of_a = a.save(SmallState(1).dict(), {.epoch = 1, .step = 1}).wait().path;
  const auto of_b = b.save(SmallState(2).dict(), {.epoch = 2, .step = 2}).wait().path;
  std::filesystem::copy(of_b, directory(a) / of_b.filename());
  std::filesystem::copy(of_a, directory(b) / of_a.filename());
  const VerifyReport report = store.verify();
  EXPECT_TRUE(names(report, (directory(a) / of_b.filename()).string()));
  EXPECT_TRUE(names(report, (directory(b) / of_a.filename()).string()));
  for (const Finding& finding : report.findings) {
    EXPECT_NE(finding.path, of_a.string()) << finding.message;
    EXPECT_NE(finding.path, of_b.string()) << finding.message;
  }
}

// Whatever is wrong with a journal: which one it is stands in the message.
TEST_F(VerifyTest, DamageOfAJournalNamesItsFile) {
  Store store = Store::create(path());
  std::filesystem::path journal;
  {
    ckp::Run run = store.create_run(run_options("cnn"));
    run.log(0, 1, {{"train/loss", 2.0}});
    save(run, 1);
    const auto directory = path() / "runs" / run.record().directory;
    for (const auto& entry : std::filesystem::directory_iterator(directory)) {
      if (entry.path().filename().string().starts_with("journal-")) journal = entry.path();
    }
    run.log(0, 2, {{"train/loss", 1.0}});
    run.log(0, 3, {{"train/loss", 0.5}});
  }
  const auto sound = read_bytes(journal);
  const auto flipped = [&](std::size_t at) {
    auto bytes = sound;
    bytes[at] ^= std::byte{1};
    return bytes;
  };
  const std::size_t in_the_log_of_step_2 = sound.size() - 200;
  for (const std::size_t at : {std::size_t{3}, std::size_t{100}, in_the_log_of_step_2}) {
    SCOPED_TRACE(at);
    write_bytes(journal, flipped(at));
    const VerifyReport report = store.verify();
    ASSERT_FALSE(report.findings.empty());
    EXPECT_TRUE(report.findings.front().message.starts_with(journal.string() + ": "))
        << report.findings.front().message;
    const RepairReport plan = plan_repair(path());
    ASSERT_FALSE(plan.steps.empty());
    EXPECT_TRUE(plan.steps.front().message.starts_with(journal.string() + ": "))
        << plan.steps.front().message;
  }
  std::filesystem::remove(journal);
  const VerifyReport report = store.verify();
  ASSERT_FALSE(report.findings.empty());
  EXPECT_TRUE(report.findings.front().message.starts_with(journal.string() + ": "))
      << report.findings.front().message;
}

// It may be as sound as ever.
TEST_F(VerifyTest, AFileWithoutPermissionToReadItIsNotDamaged) {
  Store::create(path()).create_run(run_options("cnn"));
  const auto refusing = std::make_shared<test::FaultyFileSystem>(posix_file_system(), path());
  Store store = Store::open(path(), {.file_system = refusing});
  ckp::Run run = store.resume_run("cnn");
  const auto kept = run.save(SmallState(1).dict(), {.epoch = 1, .step = 1}).wait().path;
  const std::string entry = "open " + kept.lexically_relative(path()).string();
  refusing->plan({.at = 1,
                  .code = ErrorCode::read_only,
                  .forever = true,
                  .only = [=](const std::string& line) { return line == entry; }});
  const VerifyReport report = store.verify();
  EXPECT_TRUE(report.findings.empty()) << report.findings.front().message;
  ASSERT_EQ(report.denied.size(), 1u);
  EXPECT_NE(report.denied.front().find(kept.filename().string()), std::string::npos)
      << report.denied.front();
  EXPECT_FALSE(report.clean());

  const RepairReport done = repair(path(), {}, {.file_system = refusing});
  ASSERT_EQ(done.steps.size(), 1u);
  EXPECT_EQ(done.steps.front().action, RepairAction::leave);
  EXPECT_FALSE(done.steps.front().damage);
  EXPECT_EQ(done.set_aside, "");
  refusing->clear();
  EXPECT_TRUE(store.verify().clean());
}

}  // namespace
}  // namespace ckp
