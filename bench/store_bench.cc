// What the stages of a save and of a read from a store cost. CKP_BENCH_STATE_MB (512) is the size
// of the state, CKP_BENCH_DIR (the current folder) the disk.
#include <benchmark/benchmark.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "bench_files.h"
#include "ckp/digest.h"
#include "ckp/store.h"
#include "data_sets.h"

namespace ckp::bench {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t megabyte = std::size_t{1} << 20;
constexpr std::size_t tensor_size = 4 * megabyte;

// A training state of tensors of 4 MiB each.
class State {
 public:
  explicit State(std::size_t size) : bytes_(size / tensor_size * tensor_size) {
    const auto weights = trained_weights(tensor_size / sizeof(float), 1);
    for (std::size_t at = 0; at < bytes_.size(); at += tensor_size) {
      std::memcpy(bytes_.data() + at, weights.data(), tensor_size);
      touch(at);  // no two tensors alike
    }
  }
  std::size_t size() const { return bytes_.size(); }
  std::size_t tensors() const { return bytes_.size() / tensor_size; }
  std::span<std::byte> tensor(std::size_t i) {
    return std::span(bytes_).subspan(i * tensor_size, tensor_size);
  }
  // An optimizer's step, as far as a save can tell: one value of each row of a patch is another.
  void train(std::size_t first, std::size_t count) {
    ++step_;
    for (std::size_t at = first * tensor_size; at < (first + count) * tensor_size; at += 256) {
      touch(at);
    }
  }
  StateDict dict() {
    StateDict state;
    for (std::size_t i = 0; i < tensors(); ++i) {
      state.add("layers." + std::to_string(i) + ".weight",
                contiguous_view(DType::float32, {tensor_size / 4}, tensor(i).data()));
    }
    return state;
  }

 private:
  void touch(std::size_t at) {
    const float value = 1e-3f * static_cast<float>(++values_ % 1000) + static_cast<float>(step_);
    std::memcpy(bytes_.data() + at, &value, sizeof value);
  }
  std::vector<std::byte> bytes_;
  std::uint64_t values_ = 0;
  std::uint64_t step_ = 0;
};

State& state() {
  static State one(std::stoul(environment("CKP_BENCH_STATE_MB", "512")) * megabyte);
  return one;
}

// A store that is gone with the object.
class TemporaryStore {
 public:
  TemporaryStore() : store_((fs::remove_all(path_), Store::create(path_))) {}
  ~TemporaryStore() { fs::remove_all(path_); }
  Store& operator*() { return store_; }
  Store* operator->() { return &store_; }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_ = fs::path(environment("CKP_BENCH_DIR", ".")) / "store_bench.store";
  Store store_;
};

double seconds(std::int64_t nanoseconds) { return static_cast<double>(nanoseconds) * 1e-9; }

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// `work` on the two halves of the state, on a thread each.
void on_two_threads(const std::function<void(std::size_t tensor)>& work) {
  const std::size_t count = state().tensors();
  std::jthread other([&] {
    for (std::size_t i = count / 2; i < count; ++i) work(i);
  });
  for (std::size_t i = 0; i < count / 2; ++i) work(i);
}

void run_memcpy(benchmark::State& bench) {
  std::vector<std::byte> out(state().size());
  for (auto _ : bench) {
    on_two_threads([&](std::size_t i) {
      std::memcpy(out.data() + i * tensor_size, state().tensor(i).data(), tensor_size);
    });
  }
  bench.SetBytesProcessed(bench.iterations() * static_cast<std::int64_t>(state().size()));
}

void run_hash(benchmark::State& bench) {
  for (auto _ : bench) {
    on_two_threads([&](std::size_t i) {
      for (std::size_t at = 0; at < tensor_size; at += megabyte) {
        benchmark::DoNotOptimize(digest_of(state().tensor(i).subspan(at, megabyte)));
      }
    });
  }
  bench.SetBytesProcessed(bench.iterations() * static_cast<std::int64_t>(state().size()));
}

enum class Measure { stall, durable };

// Saves of which `trained` of 64 parts of the state have changed; the time of one.
void run_save(benchmark::State& bench, std::size_t trained, SnapshotMode mode, Measure measure) {
  TemporaryStore store;
  Run run = store->create_run({.name = "bench"});
  const StateDict dict = state().dict();
  const std::size_t changed = state().tensors() * trained / 64;
  std::int64_t epoch = 0;
  SaveReport last;
  const auto save = [&] {
    state().train(0, changed);
    ++epoch;
    const double time = seconds_of(
        [&] { last = run.save(dict, {.epoch = epoch, .step = epoch, .snapshot = mode}).wait(); });
    // The space of the one before it is the next one's, or the disk would fill.
    KeepPolicy newest;
    newest.last = 1;
    store->prune(newest);
    settle(store.path());
    return measure == Measure::stall ? seconds(last.stall_ns) : time;
  };
  save();
  for (auto _ : bench) bench.SetIterationTime(save());
  run.finish(RunStatus::completed);
  bench.SetBytesProcessed(bench.iterations() * static_cast<std::int64_t>(state().size()));
  bench.counters["copied_MB"] = static_cast<double>(last.bytes_copied) * 1e-6;
  bench.counters["written_MB"] = static_cast<double>(last.bytes_written) * 1e-6;
}

// 382 KB a save: two linear layers, 784 x 40 and 40 x 10, with both moments.
void run_small_save(benchmark::State& bench, Measure measure) {
  TemporaryStore store;
  Run run = store->create_run({.name = "bench"});
  std::vector<std::vector<float>> tensors;
  StateDict dict;
  for (const char* const part : {"model/", "optimizer/exp_avg/", "optimizer/exp_avg_sq/"}) {
    for (const auto& [name, size] : {std::pair("0.weight", 31'360), std::pair("0.bias", 40),
                                     std::pair("2.weight", 400), std::pair("2.bias", 10)}) {
      tensors.push_back(trained_weights(static_cast<std::size_t>(size), 2));
      dict.add(std::string(part) + name,
               contiguous_view(DType::float32, {size}, tensors.back().data()));
    }
  }
  std::int64_t epoch = 0;
  for (auto _ : bench) {
    for (auto& tensor : tensors) {
      for (float& value : tensor) value += 1e-4f;
    }
    ++epoch;
    SaveReport report;
    const double time =
        seconds_of([&] { report = run.save(dict, {.epoch = epoch, .step = epoch}).wait(); });
    bench.SetIterationTime(measure == Measure::stall ? seconds(report.stall_ns) : time);
  }
  run.finish(RunStatus::completed);
}

// A store with `count` checkpoints of a few bytes.
void fill(Store& store, std::int64_t count) {
  Run run = store.create_run({.name = "bench", .directions = {{"val/loss", Better::lower}}});
  float value = 0;
  StateDict dict;
  dict.add("weight", contiguous_view(DType::float32, {1}, &value));
  for (std::int64_t epoch = 1; epoch <= count; ++epoch) {
    value += 1;
    const double loss = 1.0 + 1.0 / static_cast<double>(epoch * 7919 % count + 1);
    run.save(dict, {.epoch = epoch, .step = epoch, .metrics = {{"val/loss", loss}}});
  }
  run.finish(RunStatus::completed);
}

// Opens a store of that many checkpoints and asks it for the best.
void run_open_and_best(benchmark::State& bench) {
  TemporaryStore store;
  fill(*store, bench.range(0));
  for (auto _ : bench) {
    const Store opened = Store::open(store.path());
    benchmark::DoNotOptimize(opened.find(parse_address("bench@best:val/loss")));
  }
}

void run_rebuild(benchmark::State& bench) {
  TemporaryStore store;
  fill(*store, bench.range(0));
  for (auto _ : bench) store->rebuild_index();
  bench.SetItemsProcessed(bench.iterations() * bench.range(0));
}

void run_load(benchmark::State& bench) {
  TemporaryStore store;
  Run run = store->create_run({.name = "bench"});
  const auto record = run.save(state().dict(), {.epoch = 1, .step = 1}).wait().checkpoint;
  run.finish(RunStatus::completed);
  std::vector<std::byte> memory(state().size());
  std::vector<TensorTarget> targets;
  for (std::size_t i = 0; i < state().tensors(); ++i) {
    targets.push_back({.name = "layers." + std::to_string(i) + ".weight",
                       .shape = {tensor_size / 4},
                       .strides = {1},
                       .data = memory.data() + i * tensor_size});
  }
  for (auto _ : bench) store->open_checkpoint(record).load(targets);
  bench.SetBytesProcessed(bench.iterations() * static_cast<std::int64_t>(state().size()));
}

void run_verify(benchmark::State& bench) {
  TemporaryStore store;
  Run run = store->create_run({.name = "bench"});
  const auto report = run.save(state().dict(), {.epoch = 1, .step = 1}).wait();
  run.finish(RunStatus::completed);
  for (auto _ : bench) benchmark::DoNotOptimize(store->verify());
  bench.SetBytesProcessed(bench.iterations() * static_cast<std::int64_t>(report.bytes_written));
}

void add(const std::string& name, void (*run)(benchmark::State&)) {
  benchmark::RegisterBenchmark(name.c_str(), run)->UseRealTime()->Unit(benchmark::kMillisecond);
}

void add_saves() {
  const auto add = [](const std::string& name, auto run) {
    benchmark::RegisterBenchmark(name.c_str(), run)->UseManualTime()->Unit(benchmark::kMillisecond);
  };
  for (const auto& [name, trained] :
       {std::pair("dense", 64), std::pair("one_in_64", 1), std::pair("frozen", 0)}) {
    const auto parts = static_cast<std::size_t>(trained);
    const auto copied = SnapshotMode::copied;
    add(std::string("save_stall/") + name,
        [=](auto& bench) { run_save(bench, parts, copied, Measure::stall); });
    add(std::string("save_durable/") + name,
        [=](auto& bench) { run_save(bench, parts, copied, Measure::durable); });
    add(std::string("save_synchronous/") + name,
        [=](auto& bench) { run_save(bench, parts, SnapshotMode::none, Measure::durable); });
  }
  add("save_stall_lazy/dense",
      [](auto& bench) { run_save(bench, 64, SnapshotMode::lazy, Measure::stall); });
  add("save_stall/382KB", [](auto& bench) { run_small_save(bench, Measure::stall); });
  add("save_durable/382KB", [](auto& bench) { run_small_save(bench, Measure::durable); });
}

void add_all() {
  add("memcpy_two_threads", run_memcpy);
  add("hash_two_threads", run_hash);
  add_saves();
  add("load", run_load);
  add("verify", run_verify);
  const auto add_sizes = [](const char* name, void (*run)(benchmark::State&)) {
    benchmark::RegisterBenchmark(name, run)->Arg(100)->Arg(1000)->UseRealTime()->Unit(
        benchmark::kMillisecond);
  };
  add_sizes("open_and_best", run_open_and_best);
  add_sizes("rebuild_index", run_rebuild);
}

}  // namespace
}  // namespace ckp::bench

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  ckp::bench::add_all();
  benchmark::RunSpecifiedBenchmarks();
}
