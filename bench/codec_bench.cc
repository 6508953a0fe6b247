// What hashing, encoding and decoding cost per chunk, and what they gain, on one and two threads.
#include <benchmark/benchmark.h>

#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "ckp/digest.h"
#include "ckp/format/codec.h"
#include "ckp/format/difference.h"
#include "ckp/format/limits.h"
#include "data_sets.h"

namespace ckp::bench {
namespace {

using format::Codec;
using Bytes = std::vector<std::byte>;

constexpr std::size_t chunk_size = format::limits::chunk_default_size;
constexpr std::size_t set_size = 32 * chunk_size;  // beyond the caches

std::span<const std::byte> chunk(const Bytes& bytes, std::size_t number) {
  return std::span(bytes).subspan(number % (bytes.size() / chunk_size) * chunk_size, chunk_size);
}

// Every row has every counter: the CSV reporter aborts otherwise.
void count(benchmark::State& state, double stored_per_chunk = chunk_size) {
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(chunk_size));
  state.counters["ratio"] =
      benchmark::Counter(chunk_size / stored_per_chunk, benchmark::Counter::kAvgThreads);
}

void run_memcpy(benchmark::State& state, const DataSet& set) {
  Bytes out(chunk_size);
  std::size_t number = 0;
  for (auto _ : state) {
    std::memcpy(out.data(), chunk(set.bytes, number++).data(), chunk_size);
    benchmark::ClobberMemory();
  }
  count(state);
}

void run_digest(benchmark::State& state, const DataSet& set) {
  std::size_t number = 0;
  for (auto _ : state) benchmark::DoNotOptimize(digest_of(chunk(set.bytes, number++)));
  count(state);
}

template <format::Compression level>
void run_encode(benchmark::State& state, const DataSet& set) {
  std::size_t number = 0;
  double stored = 0;
  Codec codec = Codec::raw;
  for (auto _ : state) {
    const auto encoded = format::encode(chunk(set.bytes, number++), set.scalar_size, level);
    codec = encoded.codec;
    stored += static_cast<double>(codec == Codec::raw ? chunk_size : encoded.bytes.size());
  }
  state.SetLabel(std::string(to_string(codec)));
  count(state, stored / static_cast<double>(number));
}

struct StoredChunk {
  Codec codec = Codec::raw;
  Bytes bytes;
};

std::vector<StoredChunk> encode_all(const DataSet& set) {
  std::vector<StoredChunk> chunks;
  for (std::size_t i = 0; i < set.bytes.size() / chunk_size; ++i) {
    const auto raw = chunk(set.bytes, i);
    auto encoded = format::encode(raw, set.scalar_size, format::Compression::balanced);
    if (encoded.codec == Codec::raw) encoded.bytes.assign(raw.begin(), raw.end());
    chunks.push_back({encoded.codec, std::move(encoded.bytes)});
  }
  return chunks;
}

void run_decode(benchmark::State& state, const DataSet& set) {
  const auto chunks = encode_all(set);
  Bytes out(chunk_size);
  std::size_t number = 0;
  double stored = 0;
  for (auto _ : state) {
    const StoredChunk& next = chunks[number++ % chunks.size()];
    format::decode(next.codec, next.bytes, out);
    stored += static_cast<double>(next.bytes.size());
    benchmark::ClobberMemory();
  }
  state.SetLabel(std::string(to_string(chunks[0].codec)));
  count(state, stored / static_cast<double>(number));
}

// A version that was trained on for a little, by its distance from the one before.
struct Versions {
  DataSet before, after;
};

void run_difference(benchmark::State& state, const Versions& versions) {
  Bytes difference(chunk_size);
  std::size_t number = 0;
  double stored = 0;
  for (auto _ : state) {
    const auto before = chunk(versions.before.bytes, number);
    const auto after = chunk(versions.after.bytes, number++);
    const auto gain = format::best_difference(before, after, versions.after.scalar_size).value();
    format::take_difference(gain.kind, before, after, difference);
    stored += static_cast<double>(
        format::encode(difference, versions.after.scalar_size, format::Compression::balanced)
            .bytes.size());
  }
  state.SetLabel("planes");
  count(state, stored / static_cast<double>(number));
}

// What a load does more for a difference.
void run_undo_difference(benchmark::State& state, const Versions& versions) {
  DataSet differences = versions.after;
  const auto kind = versions.after.scalar_size == 2 ? format::DifferenceKind::elements16
                                                    : format::DifferenceKind::elements32;
  format::take_difference(kind, versions.before.bytes, versions.after.bytes, differences.bytes);
  const auto chunks = encode_all(differences);
  Bytes difference(chunk_size), out(chunk_size);
  std::size_t number = 0;
  double stored = 0;
  for (auto _ : state) {
    const StoredChunk& next = chunks[number++ % chunks.size()];
    format::decode(next.codec, next.bytes, difference);
    format::apply_difference(kind, difference, out);
    stored += static_cast<double>(next.bytes.size());
    benchmark::ClobberMemory();
  }
  state.SetLabel(std::string(to_string(chunks[0].codec)));
  count(state, stored / static_cast<double>(number));
}

}  // namespace
}  // namespace ckp::bench

int main(int argc, char** argv) {
  using namespace ckp::bench;
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  const auto sets = all_data_sets(set_size);
  const auto add_named = [](const std::string& name, const auto& data, auto run) {
    benchmark::RegisterBenchmark(name.c_str(),
                                 [run, &data](benchmark::State& state) { run(state, data); })
        ->ThreadRange(1, 2)
        ->UseRealTime();
  };
  const auto add = [&](const std::string& what, const DataSet& set, auto run) {
    add_named(what + "/" + set.name, set, run);
  };
  add("memcpy", sets.back(), run_memcpy);
  add("digest", sets.back(), run_digest);
  using ckp::format::Compression;
  for (const DataSet& set : sets) add("encode_fast", set, run_encode<Compression::fast>);
  for (const DataSet& set : sets) add("encode", set, run_encode<Compression::balanced>);
  for (const DataSet& set : sets) add("encode_archive", set, run_encode<Compression::archive>);
  for (const DataSet& set : sets) add("decode", set, run_decode);
  const Versions fp32{sets[0], trained_a_little(sets[0])}, bf16{sets[2], trained_a_little(sets[2])};
  for (const Versions* versions : {&fp32, &bf16}) {
    add_named("difference_encode/" + versions->after.name, *versions, run_difference);
    add_named("difference_decode/" + versions->after.name, *versions, run_undo_difference);
  }
  benchmark::RunSpecifiedBenchmarks();
}
