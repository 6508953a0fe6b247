// Copying a checkpoint's stored chunks into another pack, as they are.
#pragma once

#include "ckp/format/pack.h"
#include "load/open_pack.h"

namespace ckp {

// Adds every chunk that `from` needs to `to`, each once, checked down to the checksum of its stored
// bytes, and returns from's manifest with all references pointing into the new pack. Pieces with
// differences are put together and stored whole: what they lie on would make the copy larger.
// Derived pieces stay derived.
format::Manifest copy_chunks(const Checkpoint::Parts& from, format::PackWriter& to);

}  // namespace ckp
