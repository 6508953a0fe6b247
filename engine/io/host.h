// Facts about this machine and process, and randomness.
#pragma once

#include <cstdint>
#include <string>

#include "ckp/uuid.h"

namespace ckp {

// Sixteen random bytes from the kernel.
Uuid random_uuid();
// The kernel's boot id (/proc/sys/kernel/random/boot_id); nil when it cannot be read, which
// makes every reader distrust the index.
Uuid boot_id();
// At most 63 bytes.
std::string host_name();
std::uint32_t process_id();

}  // namespace ckp
