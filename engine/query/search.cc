#include "query/search.h"

#include <utility>

#include "query/first_rows.h"

namespace ckp {
namespace {

FoundRun found_run(const Search& search, const RunHistory& history) {
  FoundRun found;
  found.run = history.run();
  found.checkpoints = history.checkpoints().size();
  for (const CheckpointRecord& one : history.checkpoints()) found.size += one.file_size;
  if (!history.line().empty()) found.latest = *history.line().back();
  if (history.best() != nullptr) found.best = *history.best();
  for (const Key& key : search.columns) found.values.push_back(key.value(history));
  return found;
}

}  // namespace

FoundCheckpoint found_checkpoint(const Search& search, const RunHistory& history,
                                 const CheckpointRecord& checkpoint) {
  FoundCheckpoint found;
  found.checkpoint = checkpoint;
  found.best = history.best() != nullptr && history.best()->id == checkpoint.id;
  found.on_line = history.on_line(checkpoint);
  for (const Key& key : search.columns) found.values.push_back(key.value(history, checkpoint));
  return found;
}

std::vector<FoundRun> search_runs(const Search& search, std::vector<RunRecord> runs,
                                  const LoadCheckpoints& load) {
  FirstRows<FoundRun> rows(search, Scope::runs);
  for (RunRecord& run : runs) {
    if (rows.full()) break;
    if (search.where.excludes(run, Scope::runs)) continue;
    std::vector<CheckpointRecord> checkpoints = load(run);
    const RunHistory history(std::move(run), std::move(checkpoints));
    if (!search.where.matches(history)) continue;
    rows.add(subject_of(history), [&] { return found_run(search, history); });
  }
  return rows.take();
}

std::vector<FoundCheckpoint> search_checkpoints(const Search& search, std::vector<RunRecord> runs,
                                                const LoadCheckpoints& load) {
  FirstRows<FoundCheckpoint> rows(search, Scope::checkpoints);
  for (RunRecord& run : runs) {
    if (rows.full()) break;
    if (search.where.excludes(run, Scope::checkpoints)) continue;
    std::vector<CheckpointRecord> checkpoints = load(run);
    const RunHistory history(std::move(run), std::move(checkpoints));
    const auto consider = [&](const CheckpointRecord& one) {
      if (rows.full() || !search.where.matches(history, one)) return;
      rows.add(subject_of(history, one), [&] { return found_checkpoint(search, history, one); });
    };
    if (search.superseded) {
      for (const CheckpointRecord& one : history.checkpoints()) consider(one);
    } else {
      for (const CheckpointRecord* one : history.line()) consider(*one);
    }
  }
  return rows.take();
}

}  // namespace ckp
