// A search over runs and their checkpoints, wherever they come from.
#pragma once

#include <functional>

#include "ckp/search.h"

namespace ckp {

// Asked for the runs only whose checkpoints matter.
using LoadCheckpoints = std::function<std::vector<CheckpointRecord>(const RunRecord&)>;

FoundCheckpoint found_checkpoint(const Search& search, const RunHistory& history,
                                 const CheckpointRecord& checkpoint);

std::vector<FoundRun> search_runs(const Search& search, std::vector<RunRecord> runs,
                                  const LoadCheckpoints& load);
std::vector<FoundCheckpoint> search_checkpoints(const Search& search, std::vector<RunRecord> runs,
                                                const LoadCheckpoints& load);

}  // namespace ckp
