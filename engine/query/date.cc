#include "query/date.h"

#include <chrono>
#include <ctime>

namespace ckp {
namespace {

constexpr std::int64_t ns_per_second = 1'000'000'000;

class DateReader {
 public:
  explicit DateReader(std::string_view text) : text_(text) {}
  bool done() const { return at_ == text_.size(); }
  bool take(char c) {
    if (done() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  // Exactly so many digits, at most `max`.
  std::optional<int> number(int digits, int max) {
    int value = 0;
    for (int i = 0; i < digits; ++i) {
      if (done() || text_[at_] < '0' || text_[at_] > '9') return std::nullopt;
      value = value * 10 + (text_[at_++] - '0');
    }
    return value <= max ? std::optional(value) : std::nullopt;
  }
  // Up to nine digits of a fraction as nanoseconds.
  std::optional<std::int64_t> fraction() {
    std::int64_t value = 0, unit = ns_per_second;
    while (!done() && text_[at_] >= '0' && text_[at_] <= '9') {
      if (unit == 1) return std::nullopt;
      unit /= 10;
      value += unit * (text_[at_++] - '0');
    }
    return unit == ns_per_second ? std::nullopt : std::optional(value);
  }

 private:
  std::string_view text_;
  std::size_t at_ = 0;
};

struct DateParts {
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
  std::int64_t fraction = 0;
  std::optional<int> offset_minutes;  // nothing: local time
};

bool read_day(DateReader& in, DateParts& parts) {
  const auto year = in.number(4, 9999);
  if (!year || !in.take('-')) return false;
  const auto month = in.number(2, 12);
  if (!month || !in.take('-')) return false;
  const auto day = in.number(2, 31);
  if (!day) return false;
  parts.year = *year, parts.month = *month, parts.day = *day;
  const std::chrono::year_month_day date{std::chrono::year(*year),
                                         std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  // Before 1678 and after 2261 nanoseconds do not fit.
  return date.ok() && *year >= 1678 && *year <= 2261;
}

bool read_clock(DateReader& in, DateParts& parts) {
  const auto hour = in.number(2, 23);
  if (!hour || !in.take(':')) return false;
  const auto minute = in.number(2, 59);
  if (!minute) return false;
  parts.hour = *hour, parts.minute = *minute;
  if (!in.take(':')) return true;
  const auto second = in.number(2, 59);
  if (!second) return false;
  parts.second = *second;
  if (!in.take('.')) return true;
  const auto fraction = in.fraction();
  if (!fraction) return false;
  parts.fraction = *fraction;
  return true;
}

bool read_zone(DateReader& in, DateParts& parts) {
  if (in.take('Z')) {
    parts.offset_minutes = 0;
    return true;
  }
  in.take(' ');  // as ckptool's tables show times
  const int sign = in.take('+') ? 1 : in.take('-') ? -1 : 0;
  if (sign == 0) return false;
  const auto hours = in.number(2, 23);
  if (!hours || !in.take(':')) return false;
  const auto minutes = in.number(2, 59);
  if (!minutes) return false;
  parts.offset_minutes = sign * (*hours * 60 + *minutes);
  return true;
}

std::int64_t seconds_of(const DateParts& parts) {
  std::tm tm{};
  tm.tm_year = parts.year - 1900;
  tm.tm_mon = parts.month - 1;
  tm.tm_mday = parts.day;
  tm.tm_hour = parts.hour;
  tm.tm_min = parts.minute;
  tm.tm_sec = parts.second;
  if (parts.offset_minutes) return ::timegm(&tm) - *parts.offset_minutes * 60;
  tm.tm_isdst = -1;
  return std::mktime(&tm);
}

}  // namespace

std::optional<std::int64_t> parse_date_ns(std::string_view text) {
  DateReader in(text);
  DateParts parts;
  if (!read_day(in, parts)) return std::nullopt;
  if (in.take('T') || (!in.done() && in.take(' '))) {
    if (!read_clock(in, parts)) return std::nullopt;
  }
  if (!in.done() && !read_zone(in, parts)) return std::nullopt;
  if (!in.done()) return std::nullopt;
  return seconds_of(parts) * ns_per_second + parts.fraction;
}

}  // namespace ckp
