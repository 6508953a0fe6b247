// Trainers and ckptool killed at random moments, several at once in one store (P3): everything that
// was acknowledged is there, and the store is used on without any unlocking.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <random>

#include "ckp/format/journal_record.h"
#include "ckp/save.h"
#include "ckp/store.h"
#include "kill/acknowledged.h"
#include "kill/trainer.h"
#include "support/effort.h"
#include "support/figure.h"
#include "support/memory_directory.h"
#include "support/program.h"
#include "support/seed.h"
#include "support/temporary_directory.h"

namespace ckp {
namespace {

namespace stdfs = std::filesystem;

constexpr std::size_t kept = 5;  // of each run, by prune

const std::string trainer = std::string(CKP_BIN_DIR) + "/ckp_kill_trainer";
const std::string ckptool = std::string(CKP_BIN_DIR) + "/ckptool";

// A process and the moment at which it is killed.
struct Victim {
  int pid = 0;
  std::string what;
  std::uint64_t at_us = 0;
};

class StoreKillTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    Store::create(store_);
    span_us_ = 8 * test::duration_us({ckptool, "ls", store_});
    save_file(place_ / "in.ckp", test::trained_state("in", 1).dict(), {.epoch = 1});
  }
  stdfs::path acks(const std::string& run) const { return place_ / ("acks-" + run); }

  stdfs::path output(const std::string& what) const { return place_ / ("output-" + what); }

  Victim start(const std::vector<std::string>& command) {
    return {test::start_program(command, output(command[1])), command[1], random_() % span_us_};
  }
  // Two trainers, prune, and another command.
  std::vector<Victim> start_all(const std::string& other) {
    std::vector<Victim> all;
    for (const std::string run : {"a", "b"}) {
      all.push_back(start({trainer, "train", store_, run, acks(run)}));
    }
    std::vector<std::string> prune{ckptool, "prune", store_, "--keep-last", std::to_string(kept)};
    if (other == "undelete") prune.insert(prune.end(), {"--trash", "1h"});
    all.push_back(start(prune));
    if (other == "undelete") {
      all.push_back(start({ckptool, other, store_, "--all"}));
    } else if (other == "import") {
      // Imported in one round, removed in another.
      const std::string name = "imported-" + std::to_string(random_() % 8);
      if (random_() % 2 == 0) {
        all.push_back(start({ckptool, "import", store_, place_ / "in.ckp", "--run", name}));
      } else {
        all.push_back(start({ckptool, "rm", store_, "--run", name, "--yes"}));
      }
    } else {
      all.push_back(start({ckptool, other, store_}));
    }
    return all;
  }
  // Kills each at its moment; those that had ended by then must have ended well.
  void kill_all(std::vector<Victim> victims) {
    std::ranges::sort(victims, {}, &Victim::at_us);
    std::uint64_t now = 0;
    for (const Victim& victim : victims) {
      ::usleep(static_cast<useconds_t>(victim.at_us - now));
      now = victim.at_us;
      ::kill(victim.pid, SIGKILL);
      const int status = test::wait_for_program(victim.pid);
      const bool was_killed = status == 128 + SIGKILL;
      kills_ += was_killed ? 1 : 0;
      // Nothing that was asked for may be refused but what is not there (yet).
      const bool may_refuse = victim.what == "rm" || victim.what == "import";
      EXPECT_TRUE(was_killed || status == 0 || (may_refuse && status < 128))
          << victim.what << ": exit status " << status << "\n"
          << std::ifstream(output(victim.what)).rdbuf();
    }
  }

  void expect_run(const Store& store, const std::string& name) {
    SCOPED_TRACE("run " + name);
    const test::Acknowledged acknowledged = test::read_acknowledged(acks(name));
    const auto runs = store.runs();
    const auto run = std::ranges::find(runs, name, &RunRecord::name);
    if (run == runs.end()) {
      EXPECT_TRUE(acknowledged.processes.empty()) << "the run is gone";
      return;
    }
    EXPECT_EQ(run->status, RunStatus::interrupted) << "nobody holds it";
    const auto live = store.checkpoints(run->id);
    for (const auto& save : acknowledged.saves) {
      const auto commit = save.first;
      const auto epoch = save.second;
      const auto at = std::ranges::find(live, commit, &CheckpointRecord::commit);
      if (at != live.end()) {
        EXPECT_EQ(at->epoch, epoch);
      } else {
        const auto newer = std::ranges::count_if(
            live, [&](const CheckpointRecord& one) { return one.commit > commit; });
        EXPECT_GE(newer, static_cast<std::ptrdiff_t>(kept)) << "lost: epoch " << epoch;
      }
    }
    for (const CheckpointRecord& one : live) {
      const Checkpoint checkpoint = store.open_checkpoint(one);
      EXPECT_TRUE(test::trained_state(name, one.epoch).is_in(checkpoint))
          << "epoch " << one.epoch << " has other bytes";
      patched_ += checkpoint.manifest().patches.empty() ? 0 : 1;
    }
    acknowledged_ = std::max<std::size_t>(acknowledged_, acknowledged.saves.size());
  }

  // Metrics survive the death of the process that logged them.
  void expect_logs(const Store& store, const std::string& name) {
    const RunRecord run = store.run(name);
    std::set<std::int64_t> found;
    for (const auto& entry : stdfs::directory_iterator(store_ / "runs" / run.directory)) {
      if (!entry.path().filename().string().starts_with("journal-")) continue;
      std::ifstream file(entry.path(), std::ios::binary);
      const std::string text((std::istreambuf_iterator<char>(file)), {});
      if (text.size() < 128) continue;  // its writer was killed at the first byte
      for (const auto& [offset, record] :
           format::decode_journal(std::as_bytes(std::span(text))).records) {
        if (record.kind != format::JournalKind::metrics) continue;
        found.insert(record.payload.find("epoch")->as_int());
      }
    }
    for (const std::int64_t epoch : test::read_acknowledged(acks(name)).logs) {
      EXPECT_TRUE(found.contains(epoch)) << name << ": the metrics of epoch " << epoch;
    }
  }

  void expect_sound() {
    const Store store = Store::open(store_);
    const VerifyReport report = store.verify({.level = VerifyLevel::full, .threads = 1});
    for (const Finding& finding : report.findings) ADD_FAILURE() << finding.message;
    for (const std::string run : {"a", "b"}) expect_run(store, run);
  }

  const test::TemporaryDirectory place_{test::memory_directory()};
  const stdfs::path store_ = place_ / "store";
  std::mt19937_64 random_;
  std::uint64_t span_us_ = 0;  // each is killed within this time
  std::uint64_t kills_ = 0, rounds_ = 0;
  std::size_t acknowledged_ = 0, patched_ = 0;
};

TEST_P(StoreKillTest, EverythingAcknowledgedIsThereAndUsedOn) {
  const std::string other = GetParam();
  random_.seed(test::seed(303 + std::hash<std::string>{}(other) % 1000));
  const std::uint64_t wanted = test::effort(70);
  for (; kills_ < wanted; ++rounds_) {
    SCOPED_TRACE("round " + std::to_string(rounds_));
    kill_all(start_all(other));
    try {
      expect_sound();
    } catch (const std::exception& error) {
      ADD_FAILURE() << error.what();
    }
    ASSERT_FALSE(HasFailure());
  }
  Store store = Store::open(store_);
  for (const std::string run : {"a", "b"}) expect_logs(store, run);
  // What the dead have left is swept up by the next prune.
  KeepPolicy policy;
  policy.last = kept;
  store.prune(policy);
  store.rebuild_index();
  for (const auto& entry : stdfs::recursive_directory_iterator(store_)) {
    const std::string name = entry.path().filename().string();
    EXPECT_FALSE(name.ends_with(".tmp") || name.ends_with(".dead") || name.ends_with(".new") ||
                 name.starts_with("index."))
        << "left over: " << entry.path();
  }
  EXPECT_GT(acknowledged_, 0u);
  EXPECT_GT(patched_, 0u);
  test::figure("P3 kills", std::to_string(kills_) + " kills of trainers, prune and " + other +
                               " in " + std::to_string(rounds_) + " rounds, 0 lost, " +
                               std::to_string(patched_) + " times a patched checkpoint read");
}

INSTANTIATE_TEST_SUITE_P(Beside, StoreKillTest,
                         testing::Values("ls", "rebuild-index", "import", "verify", "undelete"),
                         [](const auto& parameter) {
                           std::string name = parameter.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace ckp
