// Reading a pack that has neither header nor trailer: who it is, its name tells.
#pragma once

#include "load/open_pack.h"

namespace ckp {

// Fills `pack.directory` by scanning pack.source for records of pack `uuid`, and wraps the source
// so that it can be read. False when there are none.
bool rescue(OpenPack& pack, const Uuid& uuid);

}  // namespace ckp
