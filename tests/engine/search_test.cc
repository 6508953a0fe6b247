// Searches: what is found, in which order, and which checkpoints are read for it.
#include "query/search.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "engine/run_samples.h"
#include "engine/store_fixture.h"
#include "support/seed.h"

namespace ckp::test {
namespace {

// Runs with their checkpoints in memory; remembers whose checkpoints were asked for.
struct Shelf {
  RunList runs;
  std::map<std::string, std::vector<CheckpointRecord>> checkpoints;
  std::vector<std::string> loaded;

  // One checkpoint for each loss.
  void add(const std::string& name, const std::vector<double>& losses, Value::Map parameters = {}) {
    RunRecord run;
    run.name = name;
    run.parameters = std::move(parameters);
    run.directions = {{"loss", Better::lower}};
    run.best_metric = "loss";
    for (const double loss : losses) {
      const auto number = static_cast<std::uint32_t>(++made);
      CheckpointRecord one = checkpoint(number, number, 1, number);
      one.run_name = name;
      one.metrics["loss"] = loss;
      one.file_size = 10;
      checkpoints[name].push_back(one);
    }
    runs.push_back(std::make_shared<RunRecord>(std::move(run)));
  }
  LoadCheckpoints load() {
    return [this](const RunRecord& run) {
      loaded.push_back(run.name);
      return checkpoints[run.name];
    };
  }
  std::vector<std::string> names(const Search& search) {
    std::vector<std::string> found;
    for (const FoundRun& one : search_runs(search, runs, from_records(load())))
      found.push_back(one.run.name);
    return found;
  }
  std::vector<std::int64_t> found_epochs(const Search& search) {
    std::vector<std::int64_t> found;
    for (const auto& one : search_checkpoints(search, runs, load())) {
      found.push_back(one.checkpoint.epoch);
    }
    return found;
  }
  std::uint64_t made = 0;
};

using Names = std::vector<std::string>;

Shelf three_runs() {
  Shelf shelf;
  shelf.add("a", {0.9, 0.1, 0.5}, {{"lr", 0.1}});
  shelf.add("b", {0.3, 0.2}, {{"lr", 0.01}});
  shelf.add("none", {});
  shelf.add("nan", {std::nan("")}, {{"lr", "auto"}});
  return shelf;
}

TEST(Searching, OrdersByAnyKeyWithWhatIsMissingLast) {
  Shelf shelf = three_runs();
  const auto by = [&](const char* order) { return shelf.names({.order = {Order::parse(order)}}); };
  EXPECT_EQ(by("metrics.loss"), (Names{"b", "a", "nan", "none"}));
  EXPECT_EQ(by("metrics.loss:desc"), (Names{"a", "b", "nan", "none"}));
  EXPECT_EQ(by("metrics.loss:min"), (Names{"a", "b", "none", "nan"}));
  EXPECT_EQ(by("metrics.loss:max"), (Names{"a", "b", "none", "nan"}));
  EXPECT_EQ(by("metrics.loss.min:max"), (Names{"b", "a", "none", "nan"}));
  EXPECT_EQ(by("params.lr"), (Names{"b", "a", "nan", "none"}));  // numbers before text
  EXPECT_EQ(by("params.lr:desc"), (Names{"nan", "a", "b", "none"}));
  EXPECT_EQ(by("name:desc"), (Names{"none", "nan", "b", "a"}));
}

TEST(Searching, TheFirstOrderCountsMostAndEqualOnesStay) {
  Shelf shelf;
  shelf.add("x", {1}, {{"k", 1}, {"m", 2}});
  shelf.add("y", {1}, {{"k", 1}, {"m", 1}});
  shelf.add("z", {1}, {{"k", 0}, {"m", 9}});
  shelf.add("w", {1}, {{"k", 1}, {"m", 2}});
  EXPECT_EQ(shelf.names({.order = {Order::parse("params.k"), Order::parse("params.m")}}),
            (Names{"z", "y", "x", "w"}));
  EXPECT_EQ(shelf.names({.order = {Order::parse("params.k:desc")}}), (Names{"x", "y", "w", "z"}));
}

TEST(Searching, CheckpointsComeRunByRunUnlessOrdered) {
  Shelf shelf = three_runs();
  EXPECT_EQ(shelf.found_epochs({}), (std::vector<std::int64_t>{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(shelf.found_epochs({.order = {Order::parse("metrics.loss:min")}}),
            (std::vector<std::int64_t>{2, 5, 4, 3, 1, 6}));
  EXPECT_EQ(shelf.found_epochs({.where = Filter::parse("metrics.loss < 0.4", 0)}),
            (std::vector<std::int64_t>{2, 4, 5}));
  EXPECT_EQ(shelf.found_epochs({.where = Filter::parse("best = true", 0)}),
            (std::vector<std::int64_t>{2, 5}));
}

TEST(Searching, OnlyWhatCanMatterIsRead) {
  Shelf shelf = three_runs();
  EXPECT_EQ(shelf.names({.where = Filter::parse("params.lr < 0.05 and metrics.loss < 1", 0)}),
            (Names{"b"}));
  EXPECT_EQ(shelf.loaded, (Names{"b", "none"})) << "only where the parameter does not say no";
  shelf.loaded.clear();
  EXPECT_EQ(shelf.found_epochs({.limit = 4}), (std::vector<std::int64_t>{1, 2, 3, 4}));
  EXPECT_EQ(shelf.loaded, (Names{"a", "b"}));
  shelf.loaded.clear();
  EXPECT_EQ(shelf.names({.limit = 0}), Names{});
  EXPECT_EQ(shelf.loaded, Names{});
}

TEST(Searching, ResultsCarryTheirSummaryAndColumns) {
  Shelf shelf = three_runs();
  const auto runs = search_runs({.columns = Key::parse_list("metrics.loss.max, params.none")},
                                shelf.runs, from_records(shelf.load()));
  ASSERT_EQ(runs.size(), 4u);
  EXPECT_EQ(runs[0].checkpoints, 3u);
  EXPECT_EQ(runs[0].size, 30u);
  EXPECT_EQ(runs[0].latest->epoch, 3);
  EXPECT_EQ(runs[0].best->epoch, 2);
  EXPECT_EQ(runs[0].values, (std::vector<Value>{0.9, Value()}));
  EXPECT_FALSE(runs[2].latest.has_value());
  const auto found =
      search_checkpoints({.columns = Key::parse_list("epoch, best")}, shelf.runs, shelf.load());
  EXPECT_EQ(found[1].values, (std::vector<Value>{2, true}));
  EXPECT_TRUE(found[1].best);
  EXPECT_TRUE(found[1].on_line);
}

TEST(Searching, SupersededOnesAreFoundWhenAskedFor) {
  Shelf shelf;
  shelf.add("a", {0.5, 0.4});
  RunRecord rewound = *shelf.runs[0];
  rewound.attempts = {Attempt{1, std::nullopt, 0, 0, ""}, Attempt{2, id_of(1), 0, 0, "", 1, 1}};
  shelf.runs[0] = std::make_shared<RunRecord>(std::move(rewound));
  EXPECT_EQ(shelf.found_epochs({}), (std::vector<std::int64_t>{1}));
  const auto all = search_checkpoints({.superseded = true}, shelf.runs, shelf.load());
  ASSERT_EQ(all.size(), 2u);
  EXPECT_TRUE(all[0].on_line);
  EXPECT_FALSE(all[1].on_line);
}

// Whatever is dropped on the way, a limit gives the beginning of the whole answer.
TEST(Searching, ALimitIsAPrefixOfTheWholeAnswer) {
  std::mt19937_64 random(seed(20303));
  for (int round = 0; round < 60; ++round) {
    Shelf shelf;
    for (int run = 0; run < 20; ++run) {
      std::vector<double> losses;
      for (auto count = random() % 40; count > 0; --count) losses.push_back(random_metric(random));
      shelf.add("run" + std::to_string(run), losses);
    }
    Search search;
    const char* orders[] = {"metrics.loss", "metrics.loss:desc", "name:desc", "metrics.x:min"};
    search.order.push_back(Order::parse(orders[random() % std::size(orders)]));
    if (random() % 2 == 0) search.order.push_back(Order::parse("epoch:desc"));
    const auto whole = shelf.found_epochs(search);
    search.limit = random() % 200;
    auto wanted = whole;
    wanted.resize(std::min(wanted.size(), search.limit));
    ASSERT_EQ(shelf.found_epochs(search), wanted) << search.limit;
  }
}

using SearchStoreTest = StoreTest;

TEST_F(SearchStoreTest, AStoreAnswers) {
  Store store = Store::create(path());
  for (const char* name : {"a", "b"}) {
    RunOptions options = run_options(name);
    options.parameters["name"] = name;
    ckp::Run run = store.create_run(options);
    save(run, 1, 0.5);
    save(run, 2, name[0] == 'a' ? 0.2 : 0.3);
    run.finish(RunStatus::completed);
  }
  const auto runs = store.find_runs({.where = Filter::parse("metrics.val/loss.min < 0.25", 0)});
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_EQ(runs[0].run.name, "a");
  const Search lowest{.order = {Order::parse("metrics.val/loss:min")}, .limit = 3};
  const auto found = store.find_checkpoints(lowest);
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0].checkpoint.run_name, "a");
  EXPECT_EQ(found[1].checkpoint.run_name, "b");
  EXPECT_EQ(store.find_checkpoints({.runs = {"b"}}).size(), 2u);
  expect_error(ErrorCode::not_found, "c", [&] { store.find_runs({.runs = {"c"}}); });
}

}  // namespace
}  // namespace ckp::test
