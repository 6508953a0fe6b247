// What is left of a checkpoint some of whose chunks are lost.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "ckp/format/manifest.h"

namespace ckp {

struct Salvage {
  format::Manifest manifest;  // of the tensors that are whole; every reference names its pack
  std::vector<std::string> missing;  // names of the others
};

// `own_pack`: what a nil pack in `manifest` means. `lost`: chunks that nobody can read any more.
Salvage salvage(const format::Manifest& manifest, const Uuid& own_pack,
                const std::set<format::ChunkAddress>& lost);

}  // namespace ckp
