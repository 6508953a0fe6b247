// Dates as they are written in a filter.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace ckp {

// "2026-10-03", "2026-10-03T14:00", "2026-10-03 14:00:30.5", each with Z or +02:00 or, without,
// local time. Nothing when it is none.
std::optional<std::int64_t> parse_date_ns(std::string_view text);

}  // namespace ckp
