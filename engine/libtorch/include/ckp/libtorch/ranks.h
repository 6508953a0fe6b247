// Several processes that train one model together.
#pragma once

#include <cstdint>

namespace ckp::libtorch {

// The place of this process among them.
struct Ranks {
  std::int64_t rank = 0;
  std::int64_t world_size = 1;
  // Saving above rank 0 is meant: each rank saves into a run, or a file, of its own. Otherwise it
  // is an error, because every rank would write the same weights.
  bool save_on_every_rank = false;
};

// RANK and WORLD_SIZE as torchrun sets them; else SLURM_PROCID and SLURM_STEP_NUM_TASKS, which srun
// sets; else rank 0 of 1. Error(invalid_argument) when they are no numbers, or no rank of that
// many.
Ranks ranks_from_environment();

}  // namespace ckp::libtorch
