#include "query/search.h"

#include <utility>

#include "query/first_rows.h"
#include "query/history_source.h"

namespace ckp {
namespace {

FoundRun found_run(const Search& search, const RunHistory& history) {
  FoundRun found;
  found.run = history.run();
  found.checkpoints = history.totals().count;
  found.size = history.totals().size;
  if (history.latest() != nullptr) found.latest = *history.latest();
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

WithHistory from_records(LoadCheckpoints load) {
  return [load = std::move(load)](const SharedRun& run, const UseHistory& use) {
    use(RunHistory(*run, load(*run)));
  };
}

std::vector<FoundRun> search_runs(const Search& search, const RunList& runs,
                                  const WithHistory& with_history) {
  FirstRows<FoundRun> rows(search, Scope::runs);
  for (const auto& run : runs) {
    if (rows.full()) break;
    if (search.where.excludes(*run, Scope::runs)) continue;
    with_history(run, [&](const RunHistory& history) {
      if (!search.where.matches(history)) return;
      rows.add(subject_of(history), [&] { return found_run(search, history); });
    });
  }
  return rows.take();
}

std::vector<FoundCheckpoint> search_checkpoints(const Search& search, const RunList& runs,
                                                const LoadCheckpoints& load) {
  FirstRows<FoundCheckpoint> rows(search, Scope::checkpoints);
  for (const auto& run : runs) {
    if (rows.full()) break;
    if (search.where.excludes(*run, Scope::checkpoints)) continue;
    const RunHistory history(*run, load(*run));
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
