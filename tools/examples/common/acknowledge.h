// Telling the outside world, by files that survive a power cut, which saves are durable.
#pragma once

#include <filesystem>

#include "ckp/save.h"

namespace example {

// Makes `directory`/acked-<step>, one line with the checkpoint's id; durable on return. The
// directory must exist.
void acknowledge(const std::filesystem::path& directory, const ckp::SaveReport& report);

}  // namespace example
