// Checkpoints that were pruned or removed with PruneOptions::trash_ns, and can be brought back.
#pragma once

#include <cstdint>

#include "ckp/records.h"

namespace ckp {

// Nobody resumes it, opens it or lists it with the others; all that it needs stays in the store.
struct TrashedCheckpoint {
  CheckpointRecord checkpoint;  // epoch -1: the file cannot be read, and its name tells the rest
  std::string run;              // name, or the directory's when the run's is unknown
  // Since 1970, UTC. From then on the next prune or removal, of whatever run, takes it for good.
  std::int64_t until_ns = 0;
  std::uint64_t bytes = 0;  // of its file
};

}  // namespace ckp
