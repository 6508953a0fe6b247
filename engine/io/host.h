// Facts about this machine and process, and randomness.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "ckp/uuid.h"

namespace ckp {

// Sixteen random bytes from the kernel, with a letter among the first eight digits: `cnn@12345678`
// would mean an epoch.
Uuid random_uuid();
// The kernel's boot id (/proc/sys/kernel/random/boot_id); nil when it cannot be read, which
// makes every reader distrust the index.
Uuid boot_id();
// At most 63 bytes.
std::string host_name();
std::uint32_t process_id();
std::uint32_t user_id();
// As the system's list of users has it, else the number.
std::string user_name();
// "Linux 6.1.0-18-amd64 x86_64"; empty when it does not say.
std::string kernel_version();
// Bytes of memory that this machine has; all there could be when it does not say.
std::uint64_t memory_size();
// A directory, no symbolic link, that belongs to this user and that strangers cannot write to.
bool is_own_directory(const std::filesystem::path& path);

}  // namespace ckp
