// Searches that an index answers without reading every checkpoint.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ckp/search.h"
#include "query/search.h"
#include "query/search_view.h"
#include "query/view_source.h"

namespace ckp {

// What a search may cost before another way is tried.
struct SearchEffort {
  // The walk through all runs' values, when there are more runs than these.
  ReadBudget walk = {.entries = 2'000, .records = 500};
  std::size_t few_runs = 64;
  ReadBudget each = {.entries = 20'000, .records = 2'000};  // any other way
};

// Whether asking `search_indexed` can be worth while.
bool may_be_indexed(const Search& search);

// What search_checkpoints finds, or nothing: when the index does not serve the search, or so much
// would have to be read that reading all, without holding writers back, is better.
std::optional<std::vector<FoundCheckpoint>> search_indexed(const Search& search,
                                                           const RunList& runs, SearchView& view,
                                                           const SearchEffort& effort = {});

// The run with what `view` knows of its checkpoints: they are read only where that is not enough.
void use_indexed_history(const SharedRun& run, SearchView& view, const UseHistory& use);

// What ckp::best finds on the run's line; nothing also when the index cannot say.
std::optional<CheckpointRecord> best_indexed(const RunRecord& run, const std::string& metric,
                                             Better better, SearchView& view);

}  // namespace ckp
