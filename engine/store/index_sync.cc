#include "store/index_sync.h"

#include <map>
#include <set>

#include "ckp/error.h"
#include "store/run_scan.h"

namespace ckp {
namespace {

constexpr std::size_t checkpoints_per_transaction = 256;

struct NewCheckpoint {
  CheckpointRecord record;
  std::vector<ChunkRow> chunks;
};

void add_checkpoints(FileSystem& fs, const std::vector<ScannedPack>& packs, Index& index,
                     Store::RebuildReport& report) {
  std::vector<NewCheckpoint> batch;
  const auto flush = [&] {
    index.update([&](IndexUpdate& update) {
      for (const NewCheckpoint& checkpoint : batch) {
        update.put_checkpoint(checkpoint.record);
        update.put_chunks(checkpoint.chunks);
      }
    });
    batch.clear();
  };
  for (const ScannedPack& pack : packs) {
    try {
      const ScannedCheckpoint checkpoint = read_checkpoint(fs, pack);
      batch.push_back({checkpoint.record, chunk_rows(checkpoint.pack.directory)});
    } catch (const Error& error) {
      // Damaged, newer or pruned. Anything else may be right the next time: no index is better than
      // one that lacks a checkpoint.
      if (error.code() != ErrorCode::corrupt && error.code() != ErrorCode::newer_format &&
          error.code() != ErrorCode::not_found) {
        throw;
      }
      continue;
    }
    report.checkpoints += 1;
    report.chunks += batch.back().chunks.size();
    if (batch.size() == checkpoints_per_transaction) flush();
  }
  if (!batch.empty()) flush();
}

// A pack that a repair wrote anew has another size, or the same chunks.
bool is_of(FileSystem& fs, const CheckpointRecord& checkpoint, const ScannedPack& pack) {
  if (checkpoint.commit != pack.name.commit) return false;
  const auto status = fs.status(pack.path);
  return status && status->size == checkpoint.file_size;
}

void sync_run(FileSystem& fs, const RunDirectory& directory, const RunRecord& run, Index& index,
              Store::RebuildReport& report) {
  std::map<Uuid, CheckpointRecord> known;
  for (CheckpointRecord& checkpoint : index.checkpoints(run.id)) {
    const Uuid id = checkpoint.id;
    known.emplace(id, std::move(checkpoint));
  }
  std::vector<ScannedPack> missing;
  for (const ScannedPack& pack : directory.packs) {
    if (pack.name.state != PackState::live) continue;
    const auto found = known.find(pack.name.uuid);
    if (found != known.end() && is_of(fs, found->second, pack)) {
      known.erase(found);
    } else {
      missing.push_back(pack);
    }
  }
  std::vector<Uuid> gone;
  for (const auto& [id, checkpoint] : known) gone.push_back(id);
  index.update([&](IndexUpdate& update) {
    update.put_run(run);
    for (const Uuid& id : gone) update.erase_checkpoint(id);
    if (!gone.empty()) update.erase_chunks(gone);
  });
  add_checkpoints(fs, missing, index, report);
  report.runs += 1;
}

void erase_missing_runs(const std::set<Uuid>& present, Index& index) {
  for (const RunRecord& run : index.runs()) {
    if (present.contains(run.id)) continue;
    std::vector<Uuid> packs;
    for (const CheckpointRecord& checkpoint : index.checkpoints(run.id)) {
      packs.push_back(checkpoint.id);
    }
    index.update([&](IndexUpdate& update) {
      update.erase_run(run.id);
      if (!packs.empty()) update.erase_chunks(packs);
    });
  }
}

}  // namespace

std::vector<ChunkRow> chunk_rows(const format::PackDirectory& pack) {
  std::vector<ChunkRow> rows;
  rows.reserve(pack.chunks.size());
  for (const format::TableEntry& entry : pack.chunks) {
    rows.push_back({entry.raw_digest, {pack.header.uuid, entry.number}, entry.raw_size});
  }
  return rows;
}

Store::RebuildReport sync_index(FileSystem& fs, const StoreLayout& layout, Index& index) {
  Store::RebuildReport report;
  std::set<Uuid> present;
  for (const std::string& name : list_run_directories(fs, layout)) {
    const RunDirectory directory = list_run(fs, layout, name);
    const auto run = read_run(fs, directory);
    if (!run) continue;
    present.insert(run->id);
    sync_run(fs, directory, *run, index, report);
  }
  erase_missing_runs(present, index);
  return report;
}

}  // namespace ckp
