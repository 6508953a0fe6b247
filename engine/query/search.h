// A search over runs and their checkpoints, wherever they come from.
#pragma once

#include <functional>

#include "ckp/search.h"
#include "query/search_view.h"

namespace ckp {

// Asked for the runs only whose checkpoints matter.
using LoadCheckpoints = std::function<std::vector<CheckpointRecord>(const RunRecord&)>;

FoundCheckpoint found_checkpoint(const Search& search, const RunHistory& history,
                                 const CheckpointRecord& checkpoint);

// Calls `use` once, while the run's history is there.
using UseHistory = std::function<void(const RunHistory&)>;
using WithHistory = std::function<void(const SharedRun&, const UseHistory& use)>;
WithHistory from_records(LoadCheckpoints load);

std::vector<FoundRun> search_runs(const Search& search, const RunList& runs,
                                  const WithHistory& with_history);
std::vector<FoundCheckpoint> search_checkpoints(const Search& search, const RunList& runs,
                                                const LoadCheckpoints& load);

}  // namespace ckp
