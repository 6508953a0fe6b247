// New packs of a repair: written beside the old ones as registered temporary packs (S1 to S4).
#pragma once

#include <map>
#include <memory>

#include "check/repair_plan.h"
#include "store/registration.h"

namespace ckp {

struct NewPack {
  std::unique_ptr<Registration> file;
  format::PackDirectory directory;  // of the new file, as it was read back
};

// `header.uuid` nil: a new one. Error(already_exists) when another process is at this pack. Written,
// made durable, and read back: Error(io) when that finds anything wrong.
NewPack write_pack(StoreCore& core, const std::string& run_directory, format::PackHeader header,
                   const std::map<std::uint32_t, ChunkSource>& chunks,
                   const std::optional<format::Manifest>& manifest);

}  // namespace ckp
