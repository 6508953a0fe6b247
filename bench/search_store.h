// A store whose index knows many checkpoints, of which there are no files: what a search reads.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>

#include "ckp/records.h"
#include "ckp/store.h"

namespace ckp::bench {

struct SearchSize {
  std::int64_t runs = 0;
  std::int64_t checkpoints = 0;  // of each run
  friend bool operator==(const SearchSize&, const SearchSize&) = default;
};

// A sweep: `params.seed` is another one in each run, `params.optimizer` one of two; three metrics.
RunRecord sweep_run(std::int64_t number);
CheckpointRecord sweep_checkpoint(const SearchSize& size, const RunRecord& run, std::int64_t number,
                                  std::int64_t epoch);

// Makes it anew.
Store make_search_store(const std::filesystem::path& path, const SearchSize& size);

}  // namespace ckp::bench
