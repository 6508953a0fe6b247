// What a search costs, by the number of checkpoints; beside SQLite with the same rows, where it was
// found. CKP_BENCH_DIR (the current folder) is the disk.
#include <benchmark/benchmark.h>

#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "bench_files.h"
#include "index/index.h"
#include "search_store.h"
#ifdef CKP_BENCH_SQLITE
#include <sqlite3.h>
#endif

namespace ckp::bench {
namespace {

constexpr SearchSize search_sizes[] = {{10, 100}, {100, 100}, {100, 1000}, {1000, 1000}};

// One question in both languages. Results are read, not only found.
struct Question {
  const char* name;
  Search search;
  std::string sql;  // of checkpoint ids
};

std::vector<Question> questions(const SearchSize& size) {
  const std::string seed = std::to_string(size.runs / 2);
  const auto where = [](const std::string& text) { return Filter::parse(text, 0); };
  const auto order = [](const char* text) { return std::vector{Order::parse(text)}; };
  const std::string of_metric =
      "SELECT c.* FROM metrics m JOIN checkpoints c ON c.id = m.checkpoint ";
  const std::string of_run =
      "SELECT c.* FROM params p JOIN metrics m ON m.run = p.run JOIN checkpoints c ON c.id = "
      "m.checkpoint ";
  return {
      {"best_of_all",
       {.order = order("metrics.val/auc:max"), .limit = 1},
       of_metric + "WHERE m.key = 'val/auc' ORDER BY m.value DESC LIMIT 1"},
      {"filter_one_run",
       {.where = where("params.seed = " + seed + " and metrics.val/auc > 0.7"), .limit = 20},
       of_run + "WHERE p.key = 'seed' AND p.value = " + seed +
           " AND m.key = 'val/auc' AND m.value > 0.7 ORDER BY c.number LIMIT 20"},
      {"filter_in_order",
       {.where = where("params.optimizer = 'adam' and epoch > 10"),
        .order = order("metrics.val/loss:min"),
        .limit = 20},
       "SELECT c.* FROM metrics m JOIN checkpoints c ON c.id = m.checkpoint JOIN params p ON p.run "
       "= m.run WHERE m.key = 'val/loss' AND p.key = 'optimizer' AND p.value = 'adam' AND c.epoch "
       "> 10 ORDER BY m.value LIMIT 20"},
      {"filter_narrow",
       {.where = where("metrics.val/auc > 0.997 and epoch > 10"),
        .order = order("epoch:desc"),
        .limit = 20},
       of_metric + "WHERE m.key = 'val/auc' AND m.value > 0.997 AND c.epoch > 10 ORDER BY c.epoch "
                   "DESC LIMIT "
                   "20"},
      {"unserved",
       {.where = where("step > 500 and size > 1999000"), .order = order("size:desc"), .limit = 20},
       "SELECT * FROM checkpoints WHERE step > 500 AND size > 1999000 ORDER BY size DESC LIMIT 20"},
  };
}

// The store of the newest size asked for: a million checkpoints take a while to make.
Store& search_store(const SearchSize& size) {
  static SearchSize made;
  static std::unique_ptr<Store> store;
  if (store != nullptr && made == size) return *store;
  store.reset();
  store = std::make_unique<Store>(make_search_store(
      std::filesystem::path(environment("CKP_BENCH_DIR", ".")) / "search_bench.store", size));
  made = size;
  return *store;
}

void run_store(benchmark::State& bench, const SearchSize& size, std::size_t number) {
  const Store& store = search_store(size);
  const Search search = questions(size)[number].search;
  std::size_t found = store.find_checkpoints(search).size();
  for (auto _ : bench) benchmark::DoNotOptimize(found = store.find_checkpoints(search).size());
  bench.counters["found"] = static_cast<double>(found);
}

void run_best_of_run(benchmark::State& bench, const SearchSize& size) {
  const Store& store = search_store(size);
  const Address address = parse_address(sweep_run(size.runs / 2).name + "@best");
  store.find(address);  // opens the index
  for (auto _ : bench) benchmark::DoNotOptimize(store.find(address));
}

// From nothing, as a command does.
void run_open_and_find(benchmark::State& bench, const SearchSize& size) {
  search_store(size);
  const Search search = questions(size)[2].search;
  const std::filesystem::path path =
      std::filesystem::path(environment("CKP_BENCH_DIR", ".")) / "search_bench.store";
  for (auto _ : bench) benchmark::DoNotOptimize(Store::open(path).find_checkpoints(search));
}

// What a save waits for: one checkpoint with so many metrics into an index of 10,000 others.
void run_index_commit(benchmark::State& bench, int metrics) {
  const SearchSize size{1, 10'000};
  const std::filesystem::path place =
      std::filesystem::path(environment("CKP_BENCH_DIR", ".")) / "search_bench.index";
  std::filesystem::remove_all(place);
  std::filesystem::create_directory(place);
  const auto fs = posix_file_system();
  const RunRecord run = sweep_run(1);
  const auto index = Index::open(*fs, place / "index", place / "lock", run.id);
  std::int64_t epoch = 0;
  const auto next = [&] {
    CheckpointRecord one = sweep_checkpoint(size, run, 0, ++epoch);
    const double value = one.metrics.at("val/loss");
    one.metrics.clear();
    for (int i = 0; i < metrics; ++i) one.metrics["metric" + std::to_string(i)] = value + i;
    return one;
  };
  index->update([&](IndexUpdate& update) {
    epoch = 0;
    update.put_run(run);
    for (int i = 0; i < 10'000; ++i) update.put_checkpoint(next());
  });
  for (auto _ : bench) {
    const CheckpointRecord one = next();
    index->update([&](IndexUpdate& update) { update.put_checkpoint(one); });
  }
}

#ifdef CKP_BENCH_SQLITE

// Tables as a tracking server has them: a row for each parameter and metric, found by name and
// value.
class Sqlite {
 public:
  explicit Sqlite(const std::filesystem::path& path) {
    std::filesystem::remove(path);
    if (sqlite3_open(path.c_str(), &database_) != SQLITE_OK) fail();
    execute(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;"
        "CREATE TABLE params(run INTEGER, key TEXT, value);"
        "CREATE TABLE checkpoints(number INTEGER PRIMARY KEY, id BLOB, run INTEGER, run_name TEXT,"
        " epoch INTEGER, step INTEGER, created INTEGER, size INTEGER, writer TEXT);"
        "CREATE TABLE metrics(checkpoint BLOB, run INTEGER, key TEXT, value REAL);");
  }
  ~Sqlite() { sqlite3_close(database_); }
  Sqlite(const Sqlite&) = delete;
  Sqlite& operator=(const Sqlite&) = delete;

  void execute(const char* sql) {
    if (sqlite3_exec(database_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) fail();
  }
  sqlite3_stmt* prepare(const std::string& sql) {
    sqlite3_stmt* statement = nullptr;
    if (sqlite3_prepare_v2(database_, sql.c_str(), -1, &statement, nullptr) != SQLITE_OK) fail();
    return statement;
  }
  [[noreturn]] void fail() { throw std::runtime_error(sqlite3_errmsg(database_)); }

 private:
  sqlite3* database_ = nullptr;
};

class Statement {
 public:
  Statement(Sqlite& database, const std::string& sql)
      : database_(database), statement_(database.prepare(sql)) {}
  ~Statement() { sqlite3_finalize(statement_); }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  Statement& bind(int at, std::int64_t value) {
    return sqlite3_bind_int64(statement_, at, value), *this;
  }
  Statement& bind(int at, double value) {
    return sqlite3_bind_double(statement_, at, value), *this;
  }
  Statement& bind(int at, const std::string& text) {
    sqlite3_bind_text(statement_, at, text.data(), static_cast<int>(text.size()), SQLITE_TRANSIENT);
    return *this;
  }
  Statement& bind(int at, const Uuid& id) {
    sqlite3_bind_blob(statement_, at, id.bytes.data(), static_cast<int>(id.bytes.size()),
                      SQLITE_TRANSIENT);
    return *this;
  }
  // How many rows there were; every column is read.
  std::size_t run() {
    std::size_t rows = 0;
    int result = SQLITE_ROW;
    while ((result = sqlite3_step(statement_)) == SQLITE_ROW) {
      for (int i = 0; i < sqlite3_column_count(statement_); ++i) {
        benchmark::DoNotOptimize(sqlite3_column_blob(statement_, i));
      }
      ++rows;
    }
    if (result != SQLITE_DONE) database_.fail();
    sqlite3_reset(statement_);
    return rows;
  }

 private:
  Sqlite& database_;
  sqlite3_stmt* statement_;
};

void fill(Sqlite& database, const SearchSize& size) {
  database.execute("BEGIN");
  Statement parameter(database, "INSERT INTO params VALUES(?, ?, ?)");
  Statement checkpoint(database, "INSERT INTO checkpoints VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)");
  Statement metric(database, "INSERT INTO metrics VALUES(?, ?, ?, ?)");
  for (std::int64_t number = 0; number < size.runs; ++number) {
    const RunRecord run = sweep_run(number);
    parameter.bind(1, number).bind(2, std::string("seed"));
    parameter.bind(3, number).run();
    parameter.bind(2, std::string("optimizer"));
    parameter.bind(3, run.parameters.at("optimizer").as_string()).run();
    for (std::int64_t epoch = 0; epoch < size.checkpoints; ++epoch) {
      const CheckpointRecord one = sweep_checkpoint(size, run, number, epoch);
      checkpoint.bind(1, static_cast<std::int64_t>(one.commit)).bind(2, one.id).bind(3, number);
      checkpoint.bind(4, one.run_name).bind(5, one.epoch).bind(6, one.step).bind(7, one.created_ns);
      checkpoint.bind(8, static_cast<std::int64_t>(one.file_size)).bind(9, one.writer).run();
      for (const auto& [name, value] : one.metrics) {
        metric.bind(1, one.id).bind(2, number).bind(3, name).bind(4, value).run();
      }
    }
  }
  database.execute(
      "COMMIT; CREATE INDEX by_param ON params(key, value, run);"
      "CREATE INDEX by_param_of_run ON params(run, key, value);"
      "CREATE INDEX by_id ON checkpoints(id);"
      "CREATE INDEX by_value ON metrics(key, value, checkpoint);"
      "CREATE INDEX by_run ON metrics(run, key, value, checkpoint); ANALYZE;");
}

Sqlite& sqlite_store(const SearchSize& size) {
  static SearchSize made;
  static std::unique_ptr<Sqlite> database;
  if (database != nullptr && made == size) return *database;
  database.reset();
  database = std::make_unique<Sqlite>(std::filesystem::path(environment("CKP_BENCH_DIR", ".")) /
                                      "search_bench.sqlite");
  fill(*database, size);
  made = size;
  return *database;
}

void run_sqlite(benchmark::State& bench, const SearchSize& size, const std::string& sql) {
  Statement statement(sqlite_store(size), sql);
  std::size_t found = statement.run();
  for (auto _ : bench) benchmark::DoNotOptimize(found = statement.run());
  bench.counters["found"] = static_cast<double>(found);
}

#endif

template <class Run>
void add_row(const std::string& name, const SearchSize& size, Run run) {
  const std::string full = name + "/" + std::to_string(size.runs * size.checkpoints);
  benchmark::RegisterBenchmark(full.c_str(), run)->UseRealTime()->Unit(benchmark::kMicrosecond);
}

void add_size(const SearchSize& size) {
  add_row("best_of_run", size, [=](auto& bench) { run_best_of_run(bench, size); });
#ifdef CKP_BENCH_SQLITE
  const std::string best_of_run =
      "SELECT c.* FROM metrics m JOIN checkpoints c ON c.id = m.checkpoint WHERE m.run = " +
      std::to_string(size.runs / 2) + " AND m.key = 'val/loss' ORDER BY m.value LIMIT 1";
  add_row("best_of_run_sqlite", size, [=](auto& bench) { run_sqlite(bench, size, best_of_run); });
#endif
  const std::vector<Question> all = questions(size);
  for (std::size_t i = 0; i < all.size(); ++i) {
    add_row(all[i].name, size, [=](auto& bench) { run_store(bench, size, i); });
#ifdef CKP_BENCH_SQLITE
    const std::string sql = all[i].sql;
    add_row(std::string(all[i].name) + "_sqlite", size,
            [=](auto& bench) { run_sqlite(bench, size, sql); });
#endif
  }
  add_row("open_and_filter", size, [=](auto& bench) { run_open_and_find(bench, size); });
}

}  // namespace
}  // namespace ckp::bench

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  for (const auto& size : ckp::bench::search_sizes) ckp::bench::add_size(size);
  for (const int metrics : {0, 3, 10}) {
    const std::string name = "index_commit/" + std::to_string(metrics);
    benchmark::RegisterBenchmark(name.c_str(), ckp::bench::run_index_commit, metrics)
        ->UseRealTime()
        ->Unit(benchmark::kMicrosecond);
  }
  benchmark::RunSpecifiedBenchmarks();
}
