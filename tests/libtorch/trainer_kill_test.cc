// The trainer, killed at 30 random moments: every resumed run ends with the weights of the run that
// was never stopped.
#include <gtest/gtest.h>
#include <signal.h>

#include <iostream>
#include <random>
#include <set>

#include "ckp/store.h"
#include "support/seed.h"
#include "support/temporary_directory.h"
#include "trainer_process.h"

namespace ckp::test {
namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;
constexpr int kRuns = 6;
constexpr int kKills = 30;

// How long the parts of an uninterrupted run take on this machine, now.
struct Pace {
  Seconds start{};     // until the first line
  Seconds training{};  // from there to the end
};

class TrainerKill : public ::testing::Test {
 protected:
  std::vector<std::string> arguments(const std::string& run) const {
    return {"--store",      store_.string(), "--run",        run,  "--resume",     "--epochs", "3",
            "--train-size", "480",           "--batch-size", "32", "--save-every", "4"};
  }

  // The digest in the last line, which only a run that came to its end has.
  static std::string final_digest(const TrainerProcess& process) {
    const std::string& line = process.lines().empty() ? std::string() : process.lines().back();
    return line.starts_with("final") ? line.substr(line.rfind(' ') + 1) : "";
  }

  std::string run_to_the_end(const std::string& run, Pace* pace = nullptr) {
    const auto begin = Clock::now();
    TrainerProcess process(arguments(run));
    process.read_line();
    const auto first = Clock::now();
    EXPECT_EQ(process.wait(), 0) << process.errors();
    note_resume(process);
    if (pace != nullptr) *pace = {first - begin, Clock::now() - first};
    return final_digest(process);
  }

  // Starts or resumes the run and kills it at a random moment: one time in four while it starts,
  // otherwise in the first half of the training that is left at most. Whether it was still running.
  bool kill_once(const std::string& run, const Pace& pace) {
    std::uniform_real_distribution<double> part(0, 1);
    TrainerProcess process(arguments(run));
    Seconds delay = pace.start * part(random_);
    if (part(random_) >= 0.25) {
      process.read_line();
      delay = pace.training * 0.5 * part(random_);
    }
    process.read_until(Clock::now() + std::chrono::duration_cast<Clock::duration>(delay));
    process.kill();
    const int status = process.wait();
    note_resume(process);
    return status == -SIGKILL;
  }

  // "resumed from step 8": counts how often, and from how many different steps.
  void note_resume(const TrainerProcess& process) {
    if (process.lines().empty() || process.lines()[0] == "resumed from step 0") return;
    EXPECT_TRUE(process.lines()[0].starts_with("resumed from step ")) << process.lines()[0];
    steps_.insert(process.lines()[0]);
    ++resumes_;
  }

  TemporaryDirectory folder_;
  std::filesystem::path store_ = folder_ / "store";
  std::set<std::string> steps_;
  int resumes_ = 0;
  std::mt19937_64 random_{seed(20240607)};
};

TEST_F(TrainerKill, EveryResumedRunEndsWithTheSameWeights) {
  Pace pace;
  const std::string expected = run_to_the_end("uninterrupted", &pace);
  ASSERT_EQ(expected.size(), 32u);

  int kills = 0;
  for (int number = 1; kills < kKills; ++number) {
    ASSERT_LT(number, 10 * kRuns) << "the trainer ends before it can be killed";
    const std::string run = "killed-" + std::to_string(number);
    for (int i = 0; i < kKills / kRuns && kills < kKills; ++i) {
      if (!kill_once(run, pace)) break;  // it was at its end already
      ++kills;
    }
    EXPECT_EQ(run_to_the_end(run), expected) << run;
  }
  std::cout << kills << " kills, " << resumes_ << " resumes, from " << steps_.size()
            << " different steps\n";
  Store store = Store::open(store_);
  VerifyReport report = store.verify();
  EXPECT_TRUE(report.clean()) << report.findings.size() << " findings, first: "
                              << (report.findings.empty() ? "" : report.findings[0].message);
  for (const RunRecord& run : store.runs()) EXPECT_EQ(run.status, RunStatus::completed) << run.name;
}

}  // namespace
}  // namespace ckp::test
