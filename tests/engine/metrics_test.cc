// The metric series: as they were logged, merged over attempts, and as they come.
#include "ckp/metrics.h"

#include <bit>
#include <cmath>
#include <fstream>
#include <iterator>

#include "store_fixture.h"

namespace ckp {
namespace {

using test::StoreTest;

using Series = std::vector<std::pair<std::int64_t, double>>;  // step, value

Series series(const std::vector<MetricPoint>& points, const std::string& name) {
  Series values;
  for (const MetricPoint& point : points) {
    const auto found = point.values.find(name);
    if (found != point.values.end()) values.emplace_back(point.step, found->second);
  }
  return values;
}

class MetricsTest : public StoreTest {
 protected:
  Store store_ = Store::create(path());
  Series current(const std::string& name) const {
    return series(store_.metrics(store_.run("a"), Superseded::left_out), name);
  }
  Series all(const std::string& name) const {
    return series(store_.metrics(store_.run("a"), Superseded::included), name);
  }
  static void log_steps(ckp::Run& run, std::int64_t from, std::int64_t to, double value) {
    for (std::int64_t step = from; step <= to; step += 50) {
      run.log(step / 100, step, {{"loss", value}});
    }
  }
};

TEST_F(MetricsTest, AreThereAsTheyWereLogged) {
  const double nan = std::bit_cast<double>(std::uint64_t{0x7ff8000000000123});
  ckp::Run run = store_.create_run(run_options("a"));
  EXPECT_TRUE(store_.metrics(run.record(), Superseded::left_out).empty());
  run.log(0, 10, {{"loss", nan}, {"lr", 0.1}});
  run.log(1, 10, {{"val/loss", -0.0}});
  const auto points = store_.metrics(run.record(), Superseded::left_out);
  ASSERT_EQ(points.size(), 2u);
  EXPECT_EQ(points[0].attempt, 1u);
  EXPECT_EQ(points[0].epoch, 0);
  EXPECT_EQ(points[0].step, 10);
  EXPECT_GT(points[0].time_ns, 0);
  EXPECT_EQ(std::bit_cast<std::uint64_t>(points[0].values.at("loss")), 0x7ff8000000000123u);
  EXPECT_TRUE(std::signbit(points[1].values.at("val/loss")));
}

TEST_F(MetricsTest, WhatAResumeLeftBehindIsLeftOut) {
  {
    ckp::Run run = store_.create_run(run_options("a"));
    log_steps(run, 50, 100, 1);
    save(run, 1);  // step 100
    log_steps(run, 150, 200, 1);
    save(run, 2);  // step 200
    log_steps(run, 250, 300, 1);
  }
  {
    ckp::Run run = store_.resume_run("a", parse_address("a@step:100"));
    log_steps(run, 150, 250, 2);
    save(run, 2);  // step 200
  }
  {
    ckp::Run run = store_.resume_run("a");
    log_steps(run, 250, 250, 3);
  }
  const Series expected{{50, 1}, {100, 1}, {150, 2}, {200, 2}, {250, 3}};
  EXPECT_EQ(current("loss"), expected);
  EXPECT_EQ(all("loss").size(), 10u);
  // The record says where the line goes also when the checkpoints are gone.
  KeepPolicy last;
  last.last = 1;
  store_.prune(last);
  EXPECT_EQ(current("loss"), expected);
  store_.rebuild_index();
  EXPECT_EQ(current("loss"), expected);
}

TEST_F(MetricsTest, OfTwoAtOneStepTheLaterAttemptCounts) {
  {
    ckp::Run run = store_.create_run(run_options("a"));
    run.log(0, 100, {{"loss", 1}, {"lr", 0.1}});
    save(run, 1);
    run.log(1, 100, {{"val/loss", 5}});  // after the save, at the same step
  }
  {
    ckp::Run run = store_.resume_run("a");
    run.log(1, 100, {{"val/loss", 6}});
  }
  EXPECT_EQ(current("val/loss"), (Series{{100, 6}}));
  EXPECT_EQ(current("loss"), (Series{{100, 1}})) << "of another epoch";
  EXPECT_EQ(all("val/loss"), (Series{{100, 5}, {100, 6}}));
}

TEST_F(MetricsTest, AResumeFromNothingBeginsAnew) {
  {
    ckp::Run run = store_.create_run(run_options("a"));
    log_steps(run, 50, 100, 1);
  }
  ckp::Run run = store_.resume_run("a");
  log_steps(run, 50, 50, 2);
  EXPECT_EQ(current("loss"), (Series{{50, 2}}));
}

// Attempts whose record does not know the step at which they took over.
TEST(CurrentPoints, OldRecordsGoByCheckpointOrCommit) {
  RunRecord run;
  run.attempts.resize(2);
  run.attempts[0].number = 1;
  run.attempts[1].number = 2;
  CheckpointRecord taken;
  taken.id.bytes[0] = std::byte{7};
  taken.attempt = 1;
  taken.step = 100;
  taken.commit = 5;
  run.attempts[1].continued_from = taken.id;
  run.attempts[1].continued_attempt = 1;
  run.attempts[1].continued_commit = 5;
  const auto point = [](std::uint32_t attempt, std::int64_t step, std::uint64_t commit) {
    return MetricPoint{attempt, 0, step, 0, commit, {{"loss", 1.0}}};
  };
  const std::vector<MetricPoint> points{point(1, 100, 3), point(1, 150, 4), point(1, 200, 5),
                                        point(2, 150, 6)};
  EXPECT_EQ(series(current_points(run, {taken}, points), "loss"), (Series{{100, 1}, {150, 1}}));
  EXPECT_EQ(current_points(run, {taken}, points).back().attempt, 2u);
  const auto without = current_points(run, {}, points);
  ASSERT_EQ(without.size(), 2u) << "by the commits, of two at step 150 the later attempt's";
  EXPECT_EQ(without[0].step, 100);
  EXPECT_EQ(without[1].attempt, 2u);
}

TEST_F(MetricsTest, AFollowerReadsEachPointOnce) {
  ckp::Run run = store_.create_run(run_options("a"));
  MetricFollower follower = store_.follow(run.record());
  EXPECT_TRUE(follower.read().empty());
  run.log(0, 1, {{"loss", 1}});
  run.log(0, 2, {{"loss", 2}});
  EXPECT_EQ(series(follower.read(), "loss"), (Series{{1, 1}, {2, 2}}));
  EXPECT_TRUE(follower.read().empty());
  run.log(0, 3, {{"loss", 3}});
  save(run, 1);
  EXPECT_EQ(series(follower.read(), "loss"), (Series{{3, 3}}));
}

TEST_F(MetricsTest, AFollowerGoesOnIntoTheNextAttempt) {
  std::optional<ckp::Run> run = store_.create_run(run_options("a"));
  MetricFollower follower = store_.follow(run->record());
  run->log(0, 1, {{"loss", 1}});
  run.reset();
  EXPECT_EQ(follower.read().size(), 1u);
  run = store_.resume_run("a");
  run->log(0, 1, {{"loss", 2}});
  EXPECT_EQ(series(follower.read(), "loss"), (Series{{1, 2}}));
  run.reset();
  store_.remove_run("a");
  EXPECT_TRUE(follower.read().empty());
}

// What is half written is on its way, not damage.
TEST_F(MetricsTest, AFollowerWaitsForTheRestOfARecord) {
  {
    ckp::Run run = store_.create_run(run_options("a"));
    run.log(0, 1, {{"loss", 1}});
    run.log(0, 2, {{"loss", 2}});
  }
  const auto directory = path() / "runs" / store_.run("a").directory;
  std::filesystem::path journal;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    if (entry.path().filename().string().starts_with("journal-")) journal = entry.path();
  }
  std::ifstream file(journal, std::ios::binary);
  const std::string whole{std::istreambuf_iterator<char>(file), {}};
  for (std::size_t size = 0; size <= whole.size(); ++size) {
    const auto copy = directory_ / ("copy" + std::to_string(size)) / journal.filename();
    std::filesystem::create_directory(copy.parent_path());
    std::ofstream(copy, std::ios::binary) << whole.substr(0, size);
    MetricFollower follower(posix_file_system(), copy.parent_path());
    std::vector<MetricPoint> points = follower.read();
    std::ofstream(copy, std::ios::binary) << whole;
    for (MetricPoint& point : follower.read()) points.push_back(std::move(point));
    ASSERT_EQ(series(points, "loss"), (Series{{1, 1}, {2, 2}})) << "cut at " << size;
    std::filesystem::remove_all(copy.parent_path());
  }
}

}  // namespace
}  // namespace ckp
