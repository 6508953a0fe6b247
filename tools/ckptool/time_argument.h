// Points of time on the command line.
#pragma once

#include <cstdint>
#include <string>

namespace ckp::tool {

// "2026-10-03", "2026-10-03T14:00" or "2026-10-03T14:00:30" ('T' or a space) by the local clock;
// with a 'Z' at the end in UTC. Nanoseconds since 1970, UTC. Throws UsageError.
std::int64_t parse_time_ns(const std::string& text);

}  // namespace ckp::tool
