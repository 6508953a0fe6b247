// Checking what one checkpoint needs, without decoding it.
#pragma once

#include "load/open_pack.h"

namespace ckp {

// Every stored byte that the checkpoint needs, in whichever pack, against its checksum. Throws
// Error(corrupt) naming file, chunk and offset.
void check_stored_bytes(const Checkpoint::Parts& parts);

}  // namespace ckp
