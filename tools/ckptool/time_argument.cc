#include "time_argument.h"

#include <fmt/format.h>

#include <ctime>

#include "exit_codes.h"
#include "render.h"

namespace ckp::tool {
namespace {

bool is_same(const std::tm& a, const std::tm& b) {
  return a.tm_year == b.tm_year && a.tm_mon == b.tm_mon && a.tm_mday == b.tm_mday &&
         a.tm_hour == b.tm_hour && a.tm_min == b.tm_min && a.tm_sec == b.tm_sec;
}

}  // namespace

std::int64_t parse_time_ns(const std::string& text) {
  const bool utc = text.ends_with('Z');
  const std::string local = utc ? text.substr(0, text.size() - 1) : text;
  for (const char* form :
       {"%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S"}) {
    std::tm tm{};
    const char* end = ::strptime(local.c_str(), form, &tm);
    if (end == nullptr || *end != '\0') continue;
    tm.tm_isdst = -1;
    std::tm made = tm;
    const std::time_t seconds = utc ? ::timegm(&made) : std::mktime(&made);
    if (!is_same(tm, made)) break;  // February 30, or an hour that a change of the clock left out
    return std::int64_t{seconds} * 1'000'000'000;
  }
  throw UsageError(
      fmt::format("\"{}\": expected a time such as 2026-10-03T14:00 (local) or "
                  "2026-10-03T14:00Z",
                  printable(text)));
}

}  // namespace ckp::tool
