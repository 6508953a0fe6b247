// Rows to put into an index, and a naive model of what should be found in it.
#pragma once

#include <algorithm>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "ckp/file_system.h"
#include "index/index.h"
#include "support/temporary_directory.h"

namespace ckp::test {

inline Uuid numbered_uuid(std::uint64_t number) {
  Uuid uuid;
  for (std::size_t i = 0; i < 8; ++i) {
    uuid.bytes[i] = static_cast<std::byte>((number * 0x9E3779B97F4A7C15u) >> (8 * i));
    uuid.bytes[15 - i] = static_cast<std::byte>(number >> (8 * i));
  }
  return uuid;
}

inline RunRecord sample_run(std::uint64_t number, std::string name) {
  RunRecord run;
  run.id = numbered_uuid(number);
  run.name = std::move(name);
  run.directory = "run-" + run.id.hex();
  run.parameters = {{"lr", 1e-3}, {"layers", 3}};
  run.directions = {{"val/loss", Better::lower}};
  run.created_ns = static_cast<std::int64_t>(number);
  run.attempts = {Attempt{1, std::nullopt, 7, 42, "host"}};
  return run;
}

inline CheckpointRecord sample_checkpoint(const RunRecord& run, std::uint64_t number,
                                          std::uint64_t commit) {
  CheckpointRecord checkpoint;
  checkpoint.id = numbered_uuid(number);
  checkpoint.run = run.id;
  checkpoint.run_name = run.name;
  checkpoint.commit = commit;
  checkpoint.attempt = 1;
  checkpoint.epoch = static_cast<std::int64_t>(commit);
  checkpoint.step = 10 * checkpoint.epoch;
  checkpoint.metrics = {{"val/loss", 1.0 / static_cast<double>(commit + 1)}};
  return checkpoint;
}

inline ChunkRow sample_chunk(std::uint64_t content, std::uint64_t pack, std::uint32_t number) {
  return {Digest{content * 0x9E3779B97F4A7C15u, content * 0xC2B2AE3D27D4EB4Fu},
          {numbered_uuid(pack), number},
          1u << 20};
}

// An index in a temporary directory.
struct IndexFiles {
  TemporaryDirectory directory;
  std::shared_ptr<FileSystem> fs = posix_file_system();
  Uuid store = numbered_uuid(999'999);

  std::filesystem::path index() const { return directory / "index"; }
  std::filesystem::path data() const { return index() / "data.mdb"; }
  std::filesystem::path lock() const { return directory / "lock"; }
  std::unique_ptr<Index> open() const { return Index::open(*fs, index(), lock(), store); }
};

// What an index should answer, kept the obvious way.
struct IndexModel {
  std::map<Uuid, RunRecord> runs;
  std::map<Uuid, CheckpointRecord> checkpoints;
  std::map<format::ChunkAddress, ChunkRow> chunks;

  std::vector<CheckpointRecord> of_run(const Uuid& run) const {
    std::vector<CheckpointRecord> result;
    for (const auto& [id, one] : checkpoints) {
      if (one.run == run) result.push_back(one);
    }
    std::sort(result.begin(), result.end(), [](const auto& a, const auto& b) {
      return std::tie(a.commit, a.id) < std::tie(b.commit, b.id);
    });
    return result;
  }
  std::vector<ChunkRow> places(const Digest& raw_digest) const {
    std::vector<ChunkRow> result;
    for (const auto& [address, row] : chunks) {
      if (content_id(row.raw_digest) == content_id(raw_digest)) result.push_back(row);
    }
    return result;
  }
};

inline bool same_row(const ChunkRow& a, const ChunkRow& b) {
  return a.raw_digest == b.raw_digest && a.address == b.address && a.raw_size == b.raw_size;
}

// A checkpoint's value of a metric as a search should see it; -0 is 0.
inline MetricEntry metric_entry(const CheckpointRecord& one, double value) {
  return {value == 0 ? 0 : value,       one.run, one.commit, one.id, one.attempt, one.resumable(),
          one.salvaged_from.has_value()};
}

inline auto place_of(const MetricEntry& one) {
  return std::tie(one.value, one.run, one.commit, one.checkpoint);
}

// What is wrong with the order of one metric, over all runs and in each, forwards and backwards.
inline int count_wrong_order(SearchView& view, const IndexModel& model, const std::string& metric,
                             const ValueRange& range) {
  std::vector<MetricEntry> all;
  for (const auto& [id, one] : model.checkpoints) {
    const auto found = one.metrics.find(metric);
    if (found == one.metrics.end() || !(found->second >= range.low && found->second <= range.high))
      continue;
    all.push_back(metric_entry(one, found->second));
  }
  std::sort(all.begin(), all.end(),
            [](const auto& a, const auto& b) { return place_of(a) < place_of(b); });
  int wrong = 0;
  for (const bool backwards : {false, true}) {
    std::vector<MetricEntry> found;
    const auto take = [&](const MetricEntry& entry) {
      found.push_back(entry);
      return true;
    };
    view.by_value(metric, range, backwards, take);
    wrong += found != all;
    for (const auto& [id, run] : model.runs) {
      found.clear();
      view.by_value_in(id, metric, range, backwards, take);
      std::vector<MetricEntry> of_run;
      for (const MetricEntry& one : all) {
        if (one.run == id) of_run.push_back(one);
      }
      wrong += found != of_run;
    }
    std::reverse(all.begin(), all.end());
  }
  return wrong;
}

inline int count_wrong_in_view(SearchView& view, const IndexModel& model) {
  int wrong = 0;
  for (const ValueRange& range :
       {ValueRange{}, ValueRange{0.25, 0.5}, ValueRange{.high = 0}, ValueRange{1, 0}}) {
    for (const char* metric : {"val/loss", "auc", "a", ""}) {
      wrong += count_wrong_order(view, model, metric, range);
    }
  }
  for (const auto& [id, run] : model.runs) {
    std::optional<std::uint32_t> newest;
    for (const CheckpointRecord& one : model.of_run(id)) {
      newest = std::max(newest.value_or(0), one.attempt);
    }
    wrong += view.newest_attempt(id) != newest;
    wrong += view.checkpoints(id) != model.of_run(id);
  }
  return wrong;
}

// How many answers of the index differ from the model's.
inline int count_wrong(const Index& index, const IndexModel& model) {
  int wrong = 0;
  std::vector<RunRecord> runs = index.runs();
  std::sort(runs.begin(), runs.end(), [](auto& a, auto& b) { return a.id < b.id; });
  wrong += !std::equal(runs.begin(), runs.end(), model.runs.begin(), model.runs.end(),
                       [](const RunRecord& a, const auto& b) { return a == b.second; });
  for (const auto& [id, run] : model.runs) {
    wrong += index.run(id) != run;
    wrong += index.run_named(run.name) != run;
    wrong += index.checkpoints(id) != model.of_run(id);
    std::vector<Uuid> ids;
    for (const CheckpointRecord& one : model.of_run(id)) ids.push_back(one.id);
    wrong += index.checkpoint_ids(id) != ids;
  }
  for (const auto& [id, checkpoint] : model.checkpoints) {
    wrong += index.checkpoint(id) != checkpoint;
  }
  std::vector<Digest> digests;
  for (const auto& [address, row] : model.chunks) digests.push_back(row.raw_digest);
  const auto found = index.find_chunks(digests, 1'000'000);
  wrong += found.size() != digests.size();
  for (std::size_t i = 0; i < std::min(found.size(), digests.size()); ++i) {
    const auto expected = model.places(digests[i]);
    wrong +=
        !std::equal(found[i].begin(), found[i].end(), expected.begin(), expected.end(), same_row);
  }
  wrong += index.chunk_count() != model.chunks.size();
  index.look([&](SearchView& view) { wrong += count_wrong_in_view(view, model); });
  return wrong;
}

}  // namespace ckp::test
