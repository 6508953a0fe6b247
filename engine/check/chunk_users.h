// Which tensors of a checkpoint a chunk carries.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ckp/format/manifest.h"

namespace ckp {

// Names of the tensors that have bytes in chunk `address`, or are made of such; `own_pack` is what
// a nil pack in a reference means.
std::vector<std::string> tensors_in_chunk(const format::Manifest& manifest, const Uuid& own_pack,
                                          const format::ChunkAddress& address);

}  // namespace ckp
