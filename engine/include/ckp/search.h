// Searching a store: Store::find_runs and Store::find_checkpoints.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ckp/filter.h"

namespace ckp {

// Some searches for checkpoints are answered by the index, without reading every checkpoint: the
// first `limit` by `metrics.NAME`; those whose `metrics.NAME` the filter bounds (as a member of its
// outermost `and`, by = < <= > >= or in), when they are few; the first `limit` in no order. Not
// so when a key hangs on all of a run's checkpoints (metrics.NAME.last, duration_hours,
// total_size, ...), or a metric's name has more than 400 bytes. The answer is the same either way.
struct Search {
  Filter where = {};
  std::vector<Order> order = {};  // the first counts most; equal ones stay as they were
  std::size_t limit = SIZE_MAX;
  std::vector<Key> columns = {};       // what each result carries as `values`
  std::vector<std::string> runs = {};  // by name or id prefix; empty: all
  // Of checkpoints: also those that a resume from an earlier one left behind, and what was
  // salvaged.
  bool superseded = false;
};

// In the order of Store::runs() unless the search says another.
struct FoundRun {
  RunRecord run;
  std::uint64_t checkpoints = 0;                 // superseded ones included
  std::uint64_t size = 0;                        // bytes of their files
  std::optional<CheckpointRecord> latest, best;  // of the current line; best by the declared metric
  std::vector<Value> values;                     // one for each of Search::columns
};

// Run by run, each in commit order, unless the search says another order.
struct FoundCheckpoint {
  CheckpointRecord checkpoint;
  bool best = false;     // RUN@best
  bool on_line = false;  // of its run's current line
  std::vector<Value> values;
};

}  // namespace ckp
