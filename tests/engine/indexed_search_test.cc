// Searches that the index answers: always what reading everything gives.
#include "query/indexed_search.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "ckp/query.h"
#include "engine/index_samples.h"
#include "engine/run_samples.h"
#include "engine/store_fixture.h"
#include "query/search.h"
#include "support/effort.h"
#include "support/seed.h"

namespace ckp::test {
namespace {

using IndexedRandomness = std::mt19937_64;

template <class T>
T one_of(IndexedRandomness& random, std::initializer_list<T> choices) {
  return choices.begin()[random() % choices.size()];
}

// An index full of random runs.
struct IndexedStore {
  IndexFiles files;
  std::unique_ptr<Index> index = files.open();

  explicit IndexedStore(IndexedRandomness& random, std::uint64_t runs) {
    index->update([&](IndexUpdate& update) {
      for (std::uint64_t number = 0; number < runs; ++number) put(random, number, update);
    });
  }

  void put(IndexedRandomness& random, std::uint64_t number, IndexUpdate& update) {
    History history = random_history(random);
    history.run.id = numbered_uuid(number);
    history.run.name = "run " + std::to_string(number);
    history.run.created_ns = static_cast<std::int64_t>(random() % 50);
    history.run.parameters = {{"lr", one_of(random, {0.1, 0.01, 0.001})},
                              {"number", static_cast<std::int64_t>(number)}};
    for (CheckpointRecord& one : history.all) one.commit = 100 * one.commit + number % 100;
    if (random() % 2 == 0) record_where_it_continued(history);
    if (random() % 8 == 0 && !history.run.attempts.empty()) {
      history.run.attempts.erase(
          history.run.attempts.begin() +  // its journal was lost
          static_cast<std::ptrdiff_t>(random() % history.run.attempts.size()));
    }
    if (random() % 6 == 0) history.run.best_metric = one_of(random, {"", "auc", "none"});
    update.put_run(history.run);
    for (CheckpointRecord& one : history.all) {
      one.run = history.run.id;
      one.run_name = history.run.name;
      one.file_size = random() % 100;
      for (auto& metric : one.metrics) {
        if (metric.second == 0 && random() % 2 == 0) metric.second = -0.0;
      }
      if (random() % 12 == 0) one.salvaged_from = numbered_uuid(random());
      if (random() % 12 == 0) one.tags[std::string(mid_step_tag)] = true;
      if (random() % 20 == 0) continue;  // pruned
      update.put_checkpoint(one);
    }
  }

  // As a newer version writes it: the commit of what was taken, too.
  static void record_where_it_continued(History& history) {
    for (Attempt& attempt : history.run.attempts) {
      for (const CheckpointRecord& one : history.all) {
        if (attempt.continued_from != one.id) continue;
        attempt.continued_attempt = one.attempt;
        attempt.continued_commit = one.commit;
      }
    }
  }
};

Filter random_filter(IndexedRandomness& random) {
  std::string text;
  for (auto terms = random() % 4; terms > 0; --terms) {
    if (!text.empty()) text += random() % 5 == 0 ? " or " : " and ";
    const std::string number = std::to_string(random() % 9);
    text += one_of<std::string>(random, {"metrics.loss < " + number,
                                         "metrics.loss >= " + number + ".0",
                                         "metrics.auc = " + number,
                                         "metrics.auc > " + number,
                                         "metrics.loss in (" + number + ", 2)",
                                         "metrics.auc != 3",
                                         "not metrics.loss < 2",
                                         "metrics.loss = nan",
                                         "metrics.auc <= " + number,
                                         "metrics.loss = inf",
                                         "metrics.auc >= -inf",
                                         "params.lr = 0.1",
                                         "params.lr < 0.05",
                                         "params.number = " + std::to_string(random() % 100),
                                         "params.number < 10",
                                         "tags.gold = true",
                                         "epoch > 1",
                                         "best = true",
                                         "superseded = false",
                                         "resumable = true",
                                         "metrics.loss.min < " + number,
                                         "metrics.auc.max >= " + number,
                                         "metrics.loss is null",
                                         "metrics.loss.last < 4",
                                         "checkpoints > 3",
                                         "total_size < 300",
                                         "duration_hours > 0.000000001",
                                         "metrics.auc.last >= 2",
                                         "name like 'run 1%'",
                                         "attempt = 2"});
  }
  return text.empty() ? Filter() : Filter::parse(text, 0);
}

Search random_search(IndexedRandomness& random) {
  Search search;
  search.where = random_filter(random);
  for (auto orders = random() % 3; orders > 0; --orders) {
    search.order.push_back(Order::parse(one_of(
        random, {"metrics.loss:min", "metrics.loss:desc", "metrics.auc:max", "metrics.auc",
                 "metrics.none", "epoch:desc", "params.lr", "metrics.loss.min", "name", "best"})));
  }
  if (random() % 4 != 0) search.limit = one_of<std::size_t>(random, {0, 1, 2, 5, 20, 200});
  if (random() % 3 == 0) search.columns = Key::parse_list("metrics.loss, best, metrics.auc.max");
  search.superseded = random() % 4 == 0;
  return search;
}

struct Served {
  int of_walks = 0, of_others = 0, asked = 0;
};

bool same_values(const std::vector<Value>& a, const std::vector<Value>& b) {
  return to_cbor(Value(Value::List(a.begin(), a.end()))) ==
         to_cbor(Value(Value::List(b.begin(), b.end())));
}

bool same_answer(const std::vector<FoundCheckpoint>& a, const std::vector<FoundCheckpoint>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return x.checkpoint == y.checkpoint && x.best == y.best && x.on_line == y.on_line &&
           same_values(x.values, y.values);
  });
}

// The same as the scan, or no answer.
void expect_same_answer(const Index& index, const Search& search, const SearchEffort& effort,
                        Served& served) {
  const auto list = index.run_list().runs;
  std::optional<std::vector<FoundCheckpoint>> found;
  index.look([&](SearchView& view) { found = search_indexed(search, *list, view, effort); });
  ++served.asked;
  if (!found) return;
  ++(search.order.empty() ? served.of_others : served.of_walks);
  const auto scanned = search_checkpoints(
      search, *list, [&](const RunRecord& run) { return index.checkpoints(run.id); });
  ASSERT_TRUE(same_answer(*found, scanned))
      << found->size() << " results, expected " << scanned.size();
}

TEST(IndexedSearch, GivesWhatReadingEverythingGives) {
  IndexedRandomness random(seed(20501));
  Served served;
  for (std::uint64_t round = 0; round < effort(12); ++round) {
    const IndexedStore store(random, one_of<std::uint64_t>(random, {0, 1, 3, 30, 120}));
    for (int question = 0; question < 60; ++question) {
      const Search search = random_search(random);
      SearchEffort little{.walk = {.entries = random() % 500, .records = random() % 200},
                          .few_runs = random() % 40,
                          .each = {.entries = random() % 2000, .records = random() % 1000}};
      expect_same_answer(*store.index, search, random() % 2 == 0 ? little : SearchEffort{}, served);
      if (::testing::Test::HasFatalFailure()) FAIL() << "round " << round << ", " << question;
    }
  }
  EXPECT_GT(served.of_walks, served.asked / 10);
  EXPECT_GT(served.of_others, served.asked / 20);
}

bool same_run(const FoundRun& a, const FoundRun& b) {
  return a.run == b.run && a.checkpoints == b.checkpoints && a.size == b.size &&
         a.latest == b.latest && a.best == b.best && same_values(a.values, b.values);
}

TEST(IndexedSearch, RunsAreWhatReadingEverythingGives) {
  IndexedRandomness random(seed(20503));
  std::size_t found_some = 0;
  for (std::uint64_t round = 0; round < effort(3); ++round) {
    constexpr std::uint64_t run_counts[] = {30, 1, 80};
    const IndexedStore store(random, run_counts[round % 3]);
    const auto list = store.index->run_list().runs;
    for (int question = 0; question < 40; ++question) {
      Search search = random_search(random);
      if (random() % 2 == 0) {
        search.columns = Key::parse_list(
            "ended, duration_hours, device_hours, total_size, checkpoints, epoch, "
            "metrics.loss.last, metrics.auc.last, metrics.loss, metrics.none.last");
      }
      const auto found = search_runs(search, *list, [&](const SharedRun& run, const auto& use) {
        store.index->look([&](SearchView& view) { use_indexed_history(run, view, use); });
      });
      const auto scanned = search_runs(search, *list, from_records([&](const RunRecord& run) {
                                         return store.index->checkpoints(run.id);
                                       }));
      ASSERT_TRUE(std::equal(found.begin(), found.end(), scanned.begin(), scanned.end(), same_run))
          << "round " << round << ", " << question << ": " << found.size() << " results, expected "
          << scanned.size();
      found_some += !found.empty();
    }
  }
  EXPECT_GT(found_some, 20u);
}

TEST(IndexedSearch, BestIsTheBestOfTheLine) {
  IndexedRandomness random(seed(20502));
  int known = 0;
  for (std::uint64_t round = 0; round < effort(10); ++round) {
    const IndexedStore store(random, 20);
    const auto list = store.index->run_list().runs;
    for (const auto& run : *list) {
      const auto line = current_line(*run, store.index->checkpoints(run->id));
      for (const char* metric : {"loss", "auc", "none"}) {
        for (const Better better : {Better::lower, Better::higher}) {
          std::optional<CheckpointRecord> found;
          store.index->look(
              [&](SearchView& view) { found = best_indexed(*run, metric, better, view); });
          ASSERT_EQ(found, best(line, metric, better)) << metric;
          known += found.has_value();
        }
      }
    }
  }
  EXPECT_GT(known, 100);
}

// A view that counts.
class CountingView : public SearchView {
 public:
  explicit CountingView(SearchView& view) : view_(view) {}
  bool has_order_of(std::string_view metric) const override { return view_.has_order_of(metric); }
  void by_value(std::string_view metric, const ValueRange& range, bool backwards,
                const Visit& visit) override {
    view_.by_value(metric, range, backwards,
                   [&](const auto& one) { return ++entries, visit(one); });
  }
  void by_value_in(const Uuid& run, std::string_view metric, const ValueRange& range,
                   bool backwards, const Visit& visit) override {
    view_.by_value_in(run, metric, range, backwards,
                      [&](const auto& one) { return ++entries, visit(one); });
  }
  std::optional<std::uint32_t> newest_attempt(const Uuid& run) override {
    return view_.newest_attempt(run);
  }
  CheckpointRecord checkpoint(const MetricEntry& entry) override {
    ++records;
    return view_.checkpoint(entry);
  }
  std::vector<CheckpointRecord> checkpoints(const Uuid& run) override {
    auto all = view_.checkpoints(run);
    records += all.size();
    return all;
  }
  void each_checkpoint(const Uuid& run, bool backwards,
                       const std::function<bool(CheckpointRecord)>& visit) override {
    view_.each_checkpoint(run, backwards,
                          [&](auto one) { return ++records, visit(std::move(one)); });
  }
  void each_save(const Uuid& run, const std::function<void(const SaveEntry&)>& visit) override {
    view_.each_save(run, [&](const SaveEntry& one) { ++entries, visit(one); });
  }
  std::size_t entries = 0, records = 0;

 private:
  SearchView& view_;
};

// 100 runs of 50 checkpoints, all with other values.
void fill_evenly(Index& index) {
  index.update([&](IndexUpdate& update) {
    for (std::uint64_t number = 0; number < 100; ++number) {
      RunRecord run = sample_run(number, "run " + std::to_string(number));
      run.parameters["number"] = static_cast<std::int64_t>(number);
      run.best_metric = "val/loss";
      update.put_run(run);
      for (std::uint64_t i = 0; i < 50; ++i) {
        const std::uint64_t commit = 1 + 100 * i + number;
        CheckpointRecord one = sample_checkpoint(run, 1000 + commit, commit);
        one.metrics["val/loss"] = static_cast<double>(commit * 7919 % 5003);
        update.put_checkpoint(one);
      }
    }
  });
}

TEST(IndexedSearch, LittleIsRead) {
  const IndexFiles files;
  const auto index = files.open();
  fill_evenly(*index);
  const auto cost = [&](const Search& search, std::size_t results) {
    std::pair<std::size_t, std::size_t> read;
    const auto list = index->run_list().runs;
    index->look([&](SearchView& view) {
      CountingView counting(view);
      const auto found = search_indexed(search, *list, counting);
      ASSERT_TRUE(found.has_value());
      EXPECT_EQ(found->size(), results);
      read = {counting.entries, counting.records};
    });
    return read;
  };
  const auto where = [](const char* text) { return Filter::parse(text, 0); };
  const std::vector<Order> lowest = {Order::parse("metrics.val/loss:min")};
  const auto best = cost({.order = lowest, .limit = 1}, 1);
  EXPECT_LE(best.first, 4u);
  EXPECT_LE(best.second, 2u) << "the best, and whether RUN@best is it";
  const auto one_run =
      cost({.where = where("params.number = 7 and metrics.val/loss < 4000"), .limit = 20}, 20);
  EXPECT_LE(one_run.first, 60u);
  EXPECT_LE(one_run.second, 22u);
  const auto ordered =
      cost({.where = where("params.number != 7 and epoch > 0"), .order = lowest, .limit = 20}, 20);
  EXPECT_LE(ordered.first, 70u);
  EXPECT_LE(ordered.second, 50u);
  const auto narrow = cost({.where = where("metrics.val/loss < 10 and epoch > 0")}, 9);
  EXPECT_LE(narrow.first, 40u);
  EXPECT_LE(narrow.second, 20u);
  const auto first = cost({.where = where("epoch > 0 and params.number = 3"), .limit = 2}, 2);
  EXPECT_LE(first.second, 3u);
}

using IndexedStoreTest = StoreTest;

// Through the store, with a run that was rewound.
TEST_F(IndexedStoreTest, TheStoreAnswersTheSame) {
  Store store = Store::create(path());
  {
    ckp::Run run = store.create_run(run_options("a"));
    for (int epoch = 1; epoch <= 4; ++epoch) save(run, epoch, 1.0 / epoch);
  }
  {
    ckp::Run again = store.resume_run("a", parse_address("a@2"));
    save(again, 3, 0.4);
  }
  EXPECT_EQ(store.find(parse_address("a@best")).metrics.at("val/loss"), 0.4);
  EXPECT_EQ(store.find(parse_address("a@best:val/loss:max")).epoch, 1);
  const auto lowest = [&](bool superseded) {
    Search search{.order = {Order::parse("metrics.val/loss:min")}, .limit = 2};
    search.superseded = superseded;
    std::vector<double> losses;
    for (const auto& one : store.find_checkpoints(search)) {
      losses.push_back(one.checkpoint.metrics.at("val/loss"));
    }
    return losses;
  };
  EXPECT_EQ(lowest(false), (std::vector<double>{0.4, 0.5}));
  EXPECT_EQ(lowest(true), (std::vector<double>{0.25, 1.0 / 3}));
  expect_error(ErrorCode::not_found, "it has val/loss",
               [&] { store.find(parse_address("a@best:none:min")); });
}

}  // namespace
}  // namespace ckp::test
