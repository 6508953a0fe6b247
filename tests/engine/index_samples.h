// Rows to put into an index, and a naive model of what should be found in it.
#pragma once

#include <algorithm>
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
  return wrong;
}

}  // namespace ckp::test
