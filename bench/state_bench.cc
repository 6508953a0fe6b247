// A training state (weights and both moments of Adam) saved and loaded by ckpstore and by LibTorch,
// on the same disk in the same run. Sizes and places come from the environment:
//   CKP_BENCH_STATE_MB   megabytes of state, 500
//   CKP_BENCH_DIR        where the files go, the current folder
#include <benchmark/benchmark.h>
#include <torch/torch.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <iostream>
#include <string>
#include <vector>

#include "bench_files.h"
#include "ckp/load.h"
#include "ckp/save.h"
#include "data_sets.h"

namespace ckp::bench {
namespace {

constexpr std::int64_t side = 1024;  // matrices of 4 MiB

struct NamedTensor {
  std::string name;
  torch::Tensor tensor;
};

// Everything that the benchmarks share.
struct Workload {
  std::filesystem::path directory;
  std::vector<NamedTensor> tensors;
  StateDict state;
  std::vector<torch::Tensor> list;  // what torch::save takes
  std::uint64_t bytes = 0;

  std::filesystem::path ckp_file() const { return directory / "state_bench.ckp"; }
  std::filesystem::path torch_file() const { return directory / "state_bench.pt"; }
};

torch::Tensor matrix(const std::vector<float>& values) {
  const torch::Tensor tensor = torch::empty({side, side});
  std::memcpy(tensor.data_ptr<float>(), values.data(), values.size() * sizeof(float));
  return tensor;
}

void add(Workload& work, std::string name, const std::vector<float>& values) {
  const torch::Tensor tensor = matrix(values);
  work.state.add(name, contiguous_view(DType::float32, {side, side}, tensor.data_ptr()));
  work.list.push_back(tensor);
  work.bytes += values.size() * sizeof(float);
  work.tensors.push_back({std::move(name), tensor});
}

Workload make_workload(std::uint64_t megabytes, const std::filesystem::path& directory) {
  Workload work;
  work.directory = directory;
  constexpr std::size_t count = side * side;
  for (unsigned layer = 0; work.bytes < megabytes * 1'000'000; ++layer) {
    const std::string name = "layer." + std::to_string(layer);
    auto first_moment = trained_weights(count, 3 * layer + 1);
    for (float& value : first_moment) value *= 1e-3f;
    add(work, "model/" + name, trained_weights(count, 3 * layer));
    add(work, "optimizer/" + name + "/exp_avg", first_moment);
    add(work, "optimizer/" + name + "/exp_avg_sq", second_moments(count, 3 * layer + 2));
  }
  return work;
}

void count(benchmark::State& state, const Workload& work, const std::filesystem::path& file) {
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(work.bytes));
  state.counters["file_MB"] = static_cast<double>(std::filesystem::file_size(file)) / 1e6;
}

void measure_save(benchmark::State& state, const Workload& work, const std::filesystem::path& file,
                  const std::function<void()>& save) {
  for (auto _ : state) {
    state.PauseTiming();
    std::filesystem::remove(file);
    settle(work.directory);
    state.ResumeTiming();
    save();
  }
  count(state, work, file);
}

void measure_load(benchmark::State& state, const Workload& work, const std::filesystem::path& file,
                  bool cold, const std::function<void()>& load) {
  settle(work.directory);
  for (auto _ : state) {
    state.PauseTiming();
    if (cold) forget(file);
    state.ResumeTiming();
    load();
  }
  count(state, work, file);
}

void save_ckp(const Workload& work, format::Compression compression) {
  SaveOptions options;
  options.encode.compression = compression;
  save_file(work.ckp_file(), work.state, options);
}

// In place, as a resume does: into tensors that exist.
void load_ckp(const Workload& work, const std::vector<torch::Tensor>& into) {
  std::vector<TensorTarget> targets;
  for (std::size_t i = 0; i < into.size(); ++i) {
    targets.push_back(
        {work.tensors[i].name, DType::float32, {side, side}, {side, 1}, into[i].data_ptr()});
  }
  open_file(work.ckp_file()).load(targets);
}

// As a resume with LibTorch does: load, then copy into the tensors that exist.
void load_torch(const Workload& work, const std::vector<torch::Tensor>& into) {
  std::vector<torch::Tensor> loaded;
  torch::load(loaded, work.torch_file().string());
  for (std::size_t i = 0; i < into.size(); ++i) into[i].copy_(loaded[i]);
}

void add_benchmark(const std::string& name, std::function<void(benchmark::State&)> run) {
  benchmark::RegisterBenchmark(name.c_str(), std::move(run))
      ->Iterations(1)
      ->UseRealTime()
      ->MeasureProcessCPUTime()
      ->Unit(benchmark::kMillisecond)
      ->ComputeStatistics("min",
                          [](const auto& v) { return *std::min_element(v.begin(), v.end()); })
      ->ComputeStatistics("max",
                          [](const auto& v) { return *std::max_element(v.begin(), v.end()); });
}

void add_saves(const Workload& work) {
  using format::Compression;
  add_benchmark("save/ckp", [&](auto& state) {
    measure_save(state, work, work.ckp_file(), [&] { save_ckp(work, Compression::balanced); });
  });
  add_benchmark("save/ckp_uncompressed", [&](auto& state) {
    measure_save(state, work, work.ckp_file(), [&] { save_ckp(work, Compression::none); });
  });
  add_benchmark("save/torch", [&](auto& state) {
    measure_save(state, work, work.torch_file(),
                 [&] { torch::save(work.list, work.torch_file().string()); });
  });
  add_benchmark("save/torch_fsync", [&](auto& state) {
    measure_save(state, work, work.torch_file(), [&] {
      torch::save(work.list, work.torch_file().string());
      sync_file(work.torch_file());
    });
  });
}

void add_loads(const Workload& work, const std::vector<torch::Tensor>& into) {
  for (const bool cold : {false, true}) {
    const std::string suffix = cold ? "_cold" : "";
    add_benchmark("load/ckp" + suffix, [&work, &into, cold](auto& state) {
      save_ckp(work, format::Compression::balanced);
      measure_load(state, work, work.ckp_file(), cold, [&] { load_ckp(work, into); });
    });
    add_benchmark("load/torch" + suffix, [&work, &into, cold](auto& state) {
      torch::save(work.list, work.torch_file().string());
      measure_load(state, work, work.torch_file(), cold, [&] { load_torch(work, into); });
    });
  }
}

}  // namespace
}  // namespace ckp::bench

int main(int argc, char** argv) {
  using namespace ckp::bench;
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  const auto megabytes = std::stoull(environment("CKP_BENCH_STATE_MB", "500"));
  const Workload work = make_workload(megabytes, environment("CKP_BENCH_DIR", "."));
  std::vector<torch::Tensor> into;
  for (const auto& tensor : work.list) into.push_back(torch::zeros_like(tensor));
  std::cerr << "state: " << work.tensors.size() << " tensors, " << work.bytes / 1'000'000
            << " MB\n";
  add_saves(work);
  add_loads(work, into);
  benchmark::RunSpecifiedBenchmarks();
  std::filesystem::remove(work.ckp_file());
  std::filesystem::remove(work.torch_file());
}
