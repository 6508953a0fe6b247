// What a run records of itself and of each attempt, and how long it has run.
#include <cmath>
#include <limits>

#include "ckp/environment.h"
#include "ckp/filter.h"
#include "store/run_scan.h"
#include "store_fixture.h"
#include "support/child_process.h"
#include "support/set_clock.h"

namespace ckp {
namespace {

using test::expect_error;
using test::SetClock;
using test::StoreTest;

constexpr std::int64_t hour_ns = 3'600'000'000'000;

class RunFactsTest : public StoreTest {
 protected:
  RunFactsTest() { clock_->now = 1'790'000'000'000'000'000; }
  Store open() const {
    return Store::open_or_create(path(), {.file_system = posix_file_system(), .clock = clock_});
  }
  void pass_hours(int hours) { clock_->now += hours * hour_ns; }
  // A Run that is not finished, as a process leaves it that is killed.
  RunHistory history(const Store& store) const {
    RunRecord run = store.run("cnn");
    return {run, store.checkpoints(run.id)};
  }
  static RunOptions described() {
    RunOptions options = run_options("cnn");
    options.parameters = {{"lr", 0.1}, {"epochs", 10}};
    options.environment = {{"git_commit", "c1"}, {"user", "ada"}, {"git_diff", "-a\n+b\n"}};
    options.data = {.name = "clicks", .version = "2026-07", .splits = {{"train", 100}}};
    options.devices = 4;
    return options;
  }
  static AttemptOptions other() {
    return {.parameters = {{"lr", 0.01}, {"epochs", 20}},
            .environment = {{"git_commit", "c2"}, {"user", "bo"}},
            .data = {.name = "clicks", .version = "2026-08"},
            .devices = 8};
  }
  static bool matches(const RunHistory& history, const std::string& expression) {
    return Filter::parse(expression, 0).matches(history);
  }

  std::shared_ptr<SetClock> clock_ = std::make_shared<SetClock>();
};

TEST_F(RunFactsTest, TheyAreDurableBeforeTheFirstStep) {
  Store store = open();
  ckp::Run run = store.create_run(described());
  const Store reader = open();  // while the run goes on
  const RunRecord record = reader.run("cnn");
  EXPECT_EQ(record.parameters, (Value::Map{{"lr", 0.1}, {"epochs", 10}}));
  EXPECT_EQ(record.environment, (Value::Map{{"git_commit", "c1"}, {"user", "ada"}}));
  EXPECT_EQ(record.data.at("version"), Value("2026-07"));
  EXPECT_EQ(record.attempts.at(0).devices, 4);
  EXPECT_EQ(reader.source_diff(record, 1), "-a\n+b\n");
  EXPECT_EQ(reader.source_diff(record, 2), std::nullopt);
}

TEST_F(RunFactsTest, AResumeThatSaysNothingUsesAsManyDevicesAsBefore) {
  Store store = open();
  {
    ckp::Run run = store.create_run(described());
    save(run, 1);
  }
  { ckp::Run run = store.resume_run("cnn"); }
  EXPECT_EQ(open().run("cnn").attempts.at(1).devices, 4);
}

TEST_F(RunFactsTest, ANotherRunsJournalTellsNothing) {
  Store store = open();
  { ckp::Run run = store.create_run(described()); }
  RunOptions options = described();
  options.name = "other";
  {
    ckp::Run run = store.create_run(options);
    run.log(1, 1, {{"loss", 1.0}});
  }
  const RunRecord run = store.run("cnn"), other = store.run("other");
  for (const auto& file : std::filesystem::directory_iterator(path() / "runs" / other.directory)) {
    const std::string name = file.path().filename().string();
    if (name.starts_with("journal-")) {
      std::filesystem::copy_file(file.path(), path() / "runs" / run.directory / name);
    }
  }
  MetricFollower follower = store.follow(run);
  EXPECT_TRUE(follower.read().empty());
  ASSERT_EQ(follower.unread().size(), 1u);
  EXPECT_NE(follower.unread()[0].find("the journal is of run " + other.id.hex()),
            std::string::npos);
  EXPECT_TRUE(follower.read().empty());
  EXPECT_EQ(follower.unread().size(), 1u) << "told once";
}

TEST_F(RunFactsTest, AResumeHasFactsOfItsOwn) {
  Store store = open();
  {
    ckp::Run run = store.create_run(described());
    save(run, 1);
  }
  {
    AttemptOptions options = other();
    options.environment["git_diff"] = Value::Bytes{std::byte{0xff}, std::byte{'\n'}};
    ckp::Run run = store.resume_run("cnn", std::nullopt, options);
    save(run, 2);
  }
  { const ckp::Run silent = store.resume_run("cnn"); }
  for (const bool rebuilt : {false, true}) {
    if (rebuilt) store.rebuild_index();
    const RunRecord record = store.run("cnn");
    EXPECT_EQ(record.parameters.at("lr"), Value(0.1));
    EXPECT_EQ(record.parameters_in(1).at("lr"), Value(0.1));
    EXPECT_EQ(record.parameters_in(2).at("lr"), Value(0.01));
    EXPECT_EQ(record.parameters_in(3).at("lr"), Value(0.01)) << "it has said nothing";
    EXPECT_EQ(record.parameters_in().at("lr"), Value(0.01));
    EXPECT_EQ(record.environment_in().at("git_commit"), Value("c2"));
    EXPECT_EQ(record.data_in(1).at("version"), Value("2026-07"));
    EXPECT_EQ(record.data_in().at("version"), Value("2026-08"));
    EXPECT_EQ(record.attempts.at(1).devices, 8);
    EXPECT_EQ(record.attempts.at(2).devices, 8);
    EXPECT_EQ(store.source_diff(record, 2), "\xff\n");
  }
}

TEST_F(RunFactsTest, FiltersAskTheAttemptThatMatters) {
  Store store = open();
  {
    ckp::Run run = store.create_run(described());
    save(run, 1);
  }
  {
    ckp::Run run = store.resume_run("cnn", std::nullopt, other());
    save(run, 2);
  }
  const RunHistory now = history(store);
  for (const char* expression :
       {"data.version = '2026-08'", "data.name = 'clicks'", "params.lr = 0.01", "user = 'bo'",
        "git_commit = 'c2'", "env.git_commit = 'c2'", "devices = 8", "environment.user is not null",
        "data.splits.train is null", "git_dirty is null"}) {
    EXPECT_TRUE(matches(now, expression)) << expression;
  }
  const auto epochs_where = [&](const std::string& expression) {
    std::vector<std::int64_t> found;
    for (const auto& one : store.find_checkpoints({.where = Filter::parse(expression, 0)})) {
      found.push_back(one.checkpoint.epoch);
    }
    return found;
  };
  using Epochs = std::vector<std::int64_t>;
  EXPECT_EQ(epochs_where("data.version = '2026-07'"), Epochs{1});
  EXPECT_EQ(epochs_where("data.splits.train = 100"), Epochs{1});
  EXPECT_EQ(epochs_where("data.version = '2026-08' and user = 'bo'"), Epochs{2});
  EXPECT_EQ(epochs_where("params.epochs = 10"), Epochs{1});
  EXPECT_EQ(epochs_where("git_commit in ('c1', 'c2')"), (Epochs{1, 2}));
}

TEST_F(RunFactsTest, HoursEndWithTheEndOfEachAttempt) {
  Store store = open();
  {
    ckp::Run run = store.create_run(described());
    pass_hours(1);
    save(run, 1);
    pass_hours(2);
    run.finish(RunStatus::failed);  // after its last checkpoint
  }
  pass_hours(100);
  {
    ckp::Run run = store.resume_run("cnn", std::nullopt, other());
    pass_hours(1);
    run.finish(RunStatus::completed);
  }
  pass_hours(100);
  for (const bool rebuilt : {false, true}) {
    if (rebuilt) store.rebuild_index();
    EXPECT_DOUBLE_EQ(history(store).hours(), 4);
    EXPECT_DOUBLE_EQ(history(store).device_hours(), 3 * 4 + 1 * 8);
    EXPECT_TRUE(matches(history(store), "duration_hours = 4 and device_hours = 20"));
  }
}

// The journal knows more than the last checkpoint.
TEST_F(RunFactsTest, OfAnAttemptThatWasKilledTheLastSignOfLifeCounts) {
  { const Store made = open(); }
  test::ChildProcess child([&] {
    Store store = open();
    ckp::Run run = store.create_run(described());
    pass_hours(1);
    save(run, 1);
    pass_hours(2);
    run.log(1, 150, {{"train/loss", 0.5}});
    ::_exit(0);
    return 0;
  });
  EXPECT_EQ(child.wait(), 0);
  Store store = open();
  pass_hours(50);
  EXPECT_EQ(store.run("cnn").status, RunStatus::interrupted);
  EXPECT_DOUBLE_EQ(history(store).hours(), 3);
  // A resume writes it down: the ends of older journals are not read again.
  {
    ckp::Run run = store.resume_run("cnn", std::nullopt, other());
    pass_hours(1);
    EXPECT_DOUBLE_EQ(history(open()).device_hours(), 3 * 4 + 1 * 8) << "it is alive now";
    run.finish(RunStatus::completed);
  }
  pass_hours(50);
  for (const bool rebuilt : {false, true}) {
    if (rebuilt) store.rebuild_index();
    EXPECT_DOUBLE_EQ(history(store).device_hours(), 3 * 4 + 1 * 8);
  }
}

TEST_F(RunFactsTest, APointThatIsLargerThanTheEndThatIsReadLeavesTheCheckpoints) {
  Store store = open();
  {
    ckp::Run run = store.create_run(described());
    pass_hours(2);
    save(run, 1);
    pass_hours(2);
    std::map<std::string, double> many;
    for (int i = 0; i < 20'000; ++i) many["metric/" + std::to_string(i)] = i;
    run.log(1, 101, many);
  }
  EXPECT_DOUBLE_EQ(history(store).hours(), 2);
}

TEST_F(RunFactsTest, DevicesAreANumberOfThem) {
  Store store = open();
  RunOptions options = described();
  for (const double devices : {-1.0, std::nan(""), std::numeric_limits<double>::infinity()}) {
    options.devices = devices;
    expect_error(ErrorCode::invalid_argument, "devices", [&] { store.create_run(options); });
  }
  EXPECT_TRUE(store.runs().empty());
}

// What an earlier version has written: no facts of the attempts, and no end.
TEST(OldRunRecords, SayWhatTheyKnow) {
  RunRecord run;
  run.parameters = {{"lr", 0.1}};
  EXPECT_EQ(run.parameters_in(), run.parameters) << "no attempt at all";
  run.attempts = {Attempt{1, std::nullopt, hour_ns, 1, "a"},
                  Attempt{2, std::nullopt, 9 * hour_ns, 1, "a"}};
  EXPECT_EQ(run.parameters_in(2), run.parameters);
  EXPECT_TRUE(run.environment_in().empty());
  CheckpointRecord saved;
  saved.attempt = 2;
  saved.created_ns = 10 * hour_ns;
  const RunHistory history(run, {saved});
  EXPECT_DOUBLE_EQ(history.hours(), 1);
  EXPECT_DOUBLE_EQ(history.device_hours(), 1);
}

}  // namespace
}  // namespace ckp
