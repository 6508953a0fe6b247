// Who holds a lock: for the messages to those who waited for it in vain.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

namespace ckp {

// A process of this machine that holds an open-file-description lock on `byte` of `file`, as far as
// /proc shows it: nothing when the holder is another user's, is in another container, or has let
// go.
std::optional<std::uint32_t> lock_holder(const std::filesystem::path& file, std::uint64_t byte);

}  // namespace ckp
