// errno as Error.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "ckp/error.h"

namespace ckp {

// ENOSPC, EDQUOT and EFBIG are out_of_space; EROFS, EACCES and EPERM read_only; EMFILE, ENFILE and
// ENOMEM out_of_resources; ENOENT, ENOTDIR and ELOOP not_found; EEXIST and ENOTEMPTY
// already_exists; everything else io.
ErrorCode code_of_errno(int error);

// "cannot write PATH: No space left on device; free some space ...".
std::string describe_errno(std::string_view operation, const std::filesystem::path& path,
                           int error);

[[noreturn]] void throw_errno(std::string_view operation, const std::filesystem::path& path,
                              int error);

}  // namespace ckp
