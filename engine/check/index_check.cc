#include "check/index_check.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "ckp/error.h"
#include "store/index_sync.h"
#include "store/marks.h"

namespace ckp {
namespace {

using IndexState = StoreCore::IndexState;

std::set<Uuid> packs_with_a_file(FileSystem& fs, const StoreLayout& layout) {
  std::set<Uuid> present;
  for (const std::string& directory : list_run_directories(fs, layout)) {
    for (const ScannedPack& pack : list_run(fs, layout, directory).packs) {
      present.insert(pack.name.uuid);
    }
  }
  return present;
}

// Its manifest was read, whether or not this version understands all of its features.
bool has_record(const PackFacts& pack) { return !pack.record.id.is_nil(); }

// A run's end reaches its journal before the index, so that the index may be behind with it.
void take_end_from(const RunRecord& known, RunRecord& record) {
  record.status = known.status;
  for (Attempt& attempt : record.attempts) {
    const auto same =
        std::find_if(known.attempts.begin(), known.attempts.end(),
                     [&](const Attempt& one) { return one.number == attempt.number; });
    if (same != known.attempts.end()) attempt.last_seen_ns = same->last_seen_ns;
  }
}

}  // namespace

IndexSummary rows_of_pack(const CheckpointRecord& checkpoint,
                          const format::PackDirectory& directory) {
  return summary_of([&](IndexUpdate& update) {
    update.put_checkpoint(checkpoint);
    update.put_chunks(chunk_rows(directory));
  });
}

void IndexChecker::look_before() {
  try {
    const StoreLock lock = core_.lock();
    const IndexState state = core_.index_state();
    if (state == IndexState::none) return;
    const auto file = core_.fs().status(core_.index_layout().lock());
    changed_ = state == IndexState::changed && file && file->size >= format::StateBlock::size;
    if (changed_) {
      check_.notes.push_back(
          read_state_block(core_.fs(), core_.index_layout(), core_.uuid())
              ? fmt::format("{}: is not as it was left (deleted, copied or damaged), and is made "
                            "anew from the files",
                            core_.index_layout().index().string())
              : fmt::format("{}: the state block is damaged or another store's; the index is made "
                            "anew from the files",
                            core_.index_layout().lock().string()));
    }
    if (core_.knows_removals(lock)) find_lost();
  } catch (const Error& error) {
    if (error.code() == ErrorCode::corrupt) {
      changed_ = true;
      check_.notes.push_back(fmt::format("{}; it is made anew from the files", error.what()));
    } else if (error.code() != ErrorCode::not_found) {
      note_not_compared(error);
    }
  }
}

// What is in the way of looking before is in the way of comparing, too.
void IndexChecker::note_not_compared(const Error& error) {
  std::string note = fmt::format("the index was not compared with the files: {}", error.what());
  if (std::ranges::find(check_.notes, note) != check_.notes.end()) return;
  check_.notes.push_back(std::move(note));
}

// Every way to take a checkpoint away tells the index before the file goes.
void IndexChecker::find_lost() {
  const std::set<Uuid> present = packs_with_a_file(core_.fs(), core_.layout());
  const auto names = list_unreachable_runs(core_.fs(), core_.layout());
  const std::set<std::string> unreachable(names.begin(), names.end());
  core_.with_index([&](const Index& index) {
    for (const RunRecord& run : index.runs()) {
      if (unreachable.contains(run.directory)) continue;
      for (CheckpointRecord& checkpoint : index.checkpoints(run.id)) {
        if (present.contains(checkpoint.id)) continue;
        const auto path = core_.layout().run(run.directory) / live_name(checkpoint);
        check_.lost.push_back({std::move(checkpoint), path.string()});
      }
    }
  });
}

void IndexChecker::check_itself(bool heal) {
  const auto check = [&](const Index& index) { check_.damage = index.check(); };
  if (heal) {
    core_.ask(check);
    return;
  }
  try {
    if (core_.index_state() == IndexState::trusted) core_.with_index(check);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::corrupt) throw;
    check_.damage.emplace_back(error.what());
  }
}

IndexSummary IndexChecker::expected_rows(const Snapshot& snapshot, const LaterFacts& facts,
                                         const Index& index) {
  IndexSummary total;
  for (const RunFacts& run : snapshot.runs) {
    const auto known = index.run(run.directory.run);
    std::optional<RunRecord> record = run.record;
    if (passed_over_.contains(run.directory.run)) record = known;
    if (!record) continue;
    if (known) take_end_from(*known, *record);
    record->later.clear();
    facts.apply_to(*record);
    add(total, summary_of([&](IndexUpdate& update) { update.put_run(*record); }));
  }
  for (const auto& [uuid, pack] : snapshot.packs) {
    if (pack.file.name.state != PackState::live) continue;
    const bool has_facts = facts.checkpoints.contains(uuid);
    const auto [known, is_new] = expected_.try_emplace(uuid);
    if (is_new || has_facts) {
      CheckpointRecord record = pack.record;
      facts.apply_to(record);
      known->second = rows_of_pack(record, open_pack(core_.fs(), pack.file.path).directory);
    }
    add(total, known->second);
  }
  return total;
}

void IndexChecker::compare(PackCache& cache) {
  if (!check_.damage.empty() || !check_.lost.empty()) return;  // told already
  try {
    const StoreLock lock = core_.lock();
    if (core_.index_state() != IndexState::trusted) return;
    const Snapshot snapshot = take_snapshot(core_, cache);
    const bool unknown =
        std::any_of(snapshot.packs.begin(), snapshot.packs.end(), [](const auto& pack) {
          return pack.second.file.name.state == PackState::live && !has_record(pack.second);
        });
    // What the index should say about a damaged pack, or a run that is away, nobody knows.
    if (unknown || !snapshot.unreachable_runs.empty()) return;
    const auto facts = known_facts(core_.fs(), core_.layout(), core_.uuid());
    if (!facts) return;
    core_.with_index([&](const Index& index) {
      name_differences(expected_rows(snapshot, *facts, index), index.summary());
    });
  } catch (const Error& error) {
    if (error.code() == ErrorCode::corrupt) {
      check_.damage.emplace_back(error.what());
    } else {
      note_not_compared(error);
    }
  }
}

void IndexChecker::name_differences(const IndexSummary& expected, const IndexSummary& found) {
  std::set<std::string> tables;
  for (const IndexSummary* summary : {&expected, &found}) {
    for (const auto& [table, sums] : *summary) tables.insert(table);
  }
  for (const std::string& table : tables) {
    const auto of = [&](const IndexSummary& summary) {
      const auto at = summary.find(table);
      return at == summary.end() ? TableSums{} : at->second;
    };
    const TableSums in_files = of(expected), in_index = of(found);
    if (in_files == in_index) continue;
    check_.damage.push_back(
        fmt::format("index: table {} has {} rows with sum {:016x}, the packs and journals say {} "
                    "with {:016x}",
                    table, in_index.count, in_index.sum, in_files.count, in_files.sum));
  }
}

}  // namespace ckp
