// What a run's journals tell besides its record.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "store/run_scan.h"

namespace ckp {

// When the newest attempt's journals were last written to, as the last record in them that has a
// time says; 0 when none has, or none can be read. Reads the journals' ends only.
std::int64_t last_sign_of_life(FileSystem& fs, const RunDirectory& directory);

// See Store::source_diff.
std::optional<std::string> read_source_diff(FileSystem& fs, const RunDirectory& directory,
                                            std::uint32_t attempt);

}  // namespace ckp
