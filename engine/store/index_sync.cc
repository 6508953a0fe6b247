#include "store/index_sync.h"

#include <map>
#include <optional>
#include <set>

#include "ckp/error.h"
#include "store/run_scan.h"

namespace ckp {
namespace {

// A transaction keeps every page that it changes in memory until it ends, and chunks fall on pages
// at random: these are 64 MiB at the most.
constexpr std::size_t checkpoints_per_transaction = 256;
constexpr std::size_t chunks_per_transaction = 8192;

// Puts checkpoints and their chunks into an index, in transactions of bounded size.
class CheckpointBatch {
 public:
  explicit CheckpointBatch(Index& index) : index_(index) {}

  // A checkpoint comes behind its chunks: one that the index has is complete.
  void add(CheckpointRecord record, const std::vector<ChunkRow>& chunks) {
    for (const ChunkRow& chunk : chunks) {
      if (chunks_.size() == chunks_per_transaction) flush();
      chunks_.push_back(chunk);
    }
    records_.push_back(std::move(record));
    if (records_.size() == checkpoints_per_transaction) flush();
  }

  void flush() {
    if (chunks_.empty() && records_.empty()) return;
    index_.update([&](IndexUpdate& update) {
      update.put_chunks(chunks_);
      for (const CheckpointRecord& record : records_) update.put_checkpoint(record);
    });
    chunks_.clear();
    records_.clear();
  }

 private:
  Index& index_;
  std::vector<ChunkRow> chunks_;
  std::vector<CheckpointRecord> records_;
};

// Nothing for a pack that is damaged, newer or pruned. Any other error may be gone the next time:
// no index is better than one that lacks a checkpoint.
std::optional<ScannedCheckpoint> read_if_sound(FileSystem& fs, const ScannedPack& pack,
                                               Store::RebuildReport& report) {
  try {
    return read_checkpoint(fs, pack);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::not_found) return std::nullopt;
    if (error.code() != ErrorCode::corrupt && error.code() != ErrorCode::newer_format) throw;
    report.unreadable.emplace_back(error.what());
    return std::nullopt;
  }
}

void add_checkpoints(FileSystem& fs, const std::vector<ScannedPack>& packs, const LaterFacts& facts,
                     Index& index, Store::RebuildReport& report) {
  CheckpointBatch batch(index);
  for (const ScannedPack& pack : packs) {
    auto checkpoint = read_if_sound(fs, pack, report);
    if (!checkpoint) continue;
    facts.apply_to(checkpoint->record);
    batch.add(checkpoint->record, chunk_rows(checkpoint->pack.directory));
    report.checkpoints += 1;
    report.chunks += checkpoint->pack.directory.chunks.size();
  }
  batch.flush();
}

// A pack that a repair wrote anew has another size, or the same chunks.
bool is_of(FileSystem& fs, const CheckpointRecord& checkpoint, const ScannedPack& pack) {
  if (checkpoint.commit != pack.name.commit) return false;
  const auto status = fs.status(pack.path);
  return status && status->size == checkpoint.file_size;
}

// Packs with a file that may have been a checkpoint's: one in the making was none yet.
std::set<Uuid> packs_left(const RunDirectory& directory) {
  std::set<Uuid> packs;
  for (const ScannedPack& pack : directory.packs) {
    if (pack.name.state != PackState::temporary) packs.insert(pack.name.uuid);
  }
  return packs;
}

void sync_run(FileSystem& fs, const RunDirectory& directory, const RunRecord& run,
              const LaterFacts& facts, Index& index, Unfound unfound,
              Store::RebuildReport& report) {
  std::map<Uuid, CheckpointRecord> known;
  for (CheckpointRecord& checkpoint : index.checkpoints(run.id)) {
    const Uuid id = checkpoint.id;
    known.emplace(id, std::move(checkpoint));
  }
  std::vector<ScannedPack> missing;
  std::set<Uuid> seen;
  for (const ScannedPack& pack : directory.packs) {
    if (pack.name.state != PackState::live) continue;
    if (!seen.insert(pack.name.uuid).second) {
      report.unreadable.emplace_back(repeated_pack(pack).what());
      continue;
    }
    const auto found = known.find(pack.name.uuid);
    if (found != known.end() && is_of(fs, found->second, pack) && facts.are_in(found->second)) {
      known.erase(found);
    } else {
      missing.push_back(pack);
    }
  }
  const std::set<Uuid> left = packs_left(directory);
  std::vector<Uuid> gone;
  for (const auto& [id, checkpoint] : known) {
    if (unfound == Unfound::dropped || left.contains(id)) gone.push_back(id);
  }
  index.update([&](IndexUpdate& update) {
    update.put_run(run);
    for (const Uuid& id : gone) update.erase_checkpoint(id);
    if (!gone.empty()) update.erase_chunks(gone);
  });
  add_checkpoints(fs, missing, facts, index, report);
  report.runs += 1;
}

// Whether a directory tells of the run's removal: on its way out, or kept for its chunks alone.
bool is_removed(FileSystem& fs, const StoreLayout& layout, const RunRecord& run) {
  return fs.status(layout.run(run.directory)) || fs.status(layout.run(run.directory + ".dead"));
}

void erase_missing_runs(FileSystem& fs, const StoreLayout& layout, const std::set<Uuid>& present,
                        Index& index, Unfound unfound) {
  std::set<Uuid> unreachable;
  for (const std::string& name : list_unreachable_runs(fs, layout)) {
    unreachable.insert(*parse_run_directory(name));
  }
  for (const RunRecord& run : index.runs()) {
    if (present.contains(run.id) || unreachable.contains(run.id)) continue;
    if (unfound == Unfound::kept && !is_removed(fs, layout, run)) continue;
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

LaterFacts facts_in(const Index& index) {
  LaterFacts facts;
  for (const RunRecord& run : index.runs()) {
    if (!run.later.empty()) facts.runs[run.id] = run.later;
    for (const CheckpointRecord& checkpoint : index.checkpoints(run.id)) {
      if (!checkpoint.later.empty()) facts.checkpoints[checkpoint.id] = checkpoint.later;
    }
  }
  return facts;
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

Store::RebuildReport sync_index(FileSystem& fs, const StoreLayout& layout, Index& index,
                                Unfound unfound, const std::optional<LaterFacts>& facts) {
  Store::RebuildReport report;
  const LaterFacts said = facts ? *facts : facts_in(index);
  std::set<Uuid> present;
  for (const std::string& name : list_run_directories(fs, layout)) {
    const RunDirectory directory = list_run(fs, layout, name);
    auto run = read_run(fs, directory);
    if (!run) continue;
    said.apply_to(*run);
    present.insert(run->id);
    sync_run(fs, directory, *run, said, index, unfound, report);
  }
  erase_missing_runs(fs, layout, present, index, unfound);
  index.sync();
  return report;
}

}  // namespace ckp
