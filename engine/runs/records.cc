#include "ckp/records.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <ctime>

#include "ckp/error.h"

namespace ckp {
namespace {

constexpr std::int64_t nanoseconds_a_second = 1'000'000'000;
constexpr std::size_t run_name_size = 200;

struct Moment {
  std::time_t seconds = 0;
  std::int64_t nanoseconds = 0;  // 0 to 999,999,999, also before 1970
};

Moment moment_of(std::int64_t ns) {
  std::int64_t seconds = ns / nanoseconds_a_second;
  std::int64_t rest = ns % nanoseconds_a_second;
  if (rest < 0) {
    --seconds;
    rest += nanoseconds_a_second;
  }
  return {static_cast<std::time_t>(seconds), rest};
}

std::string calendar(const std::tm& tm, char between) {
  return fmt::format("{:04}-{:02}-{:02}{}{:02}:{:02}:{:02}", tm.tm_year + 1900, tm.tm_mon + 1,
                     tm.tm_mday, between, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

bool same_bits(const std::map<std::string, double>& a, const std::map<std::string, double>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return x.first == y.first &&
           std::bit_cast<std::uint64_t>(x.second) == std::bit_cast<std::uint64_t>(y.second);
  });
}

// C0 and C1 controls and DEL; `name` is valid UTF-8.
bool is_control(std::string_view name, std::size_t at) {
  const auto byte = static_cast<unsigned char>(name[at]);
  if (byte < 0x20 || byte == 0x7f) return true;
  return byte == 0xc2 && static_cast<unsigned char>(name[at + 1]) < 0xa0;
}

const Value::Map& latest_in(const RunRecord& run, std::uint32_t attempt,
                            Value::Map RunRecord::*created, Value::Map Attempt::*recorded) {
  const Value::Map* latest = &(run.*created);
  for (const Attempt& one : run.attempts) {
    if (one.number <= attempt && !(one.*recorded).empty()) latest = &(one.*recorded);
  }
  return *latest;
}

}  // namespace

std::string_view to_string(RunStatus status) {
  switch (status) {
    case RunStatus::in_progress:
      return "in_progress";
    case RunStatus::completed:
      return "completed";
    case RunStatus::failed:
      return "failed";
    case RunStatus::interrupted:
      return "interrupted";
  }
  return "unknown";
}

const Value::Map& RunRecord::parameters_in(std::uint32_t attempt) const {
  return latest_in(*this, attempt, &RunRecord::parameters, &Attempt::parameters);
}

const Value::Map& RunRecord::environment_in(std::uint32_t attempt) const {
  return latest_in(*this, attempt, &RunRecord::environment, &Attempt::environment);
}

const Value::Map& RunRecord::data_in(std::uint32_t attempt) const {
  return latest_in(*this, attempt, &RunRecord::data, &Attempt::data);
}

bool operator==(const CheckpointRecord& a, const CheckpointRecord& b) {
  return a.id == b.id && a.run == b.run && a.run_name == b.run_name && a.commit == b.commit &&
         a.attempt == b.attempt && a.continued_from == b.continued_from && a.epoch == b.epoch &&
         a.step == b.step && same_bits(a.metrics, b.metrics) && a.tags == b.tags &&
         a.nonfinite == b.nonfinite && a.final == b.final && a.created_ns == b.created_ns &&
         a.file_size == b.file_size && a.tensor_bytes == b.tensor_bytes &&
         a.tensor_count == b.tensor_count && a.journal == b.journal && a.writer == b.writer &&
         a.salvaged_from == b.salvaged_from && a.missing == b.missing && a.later == b.later;
}

std::string local_time(std::int64_t ns) {
  const Moment moment = moment_of(ns);
  std::tm tm{};
  ::localtime_r(&moment.seconds, &tm);
  const long minutes = tm.tm_gmtoff / 60;
  const long size = minutes < 0 ? -minutes : minutes;
  return fmt::format("{} {}{:02}:{:02}", calendar(tm, ' '), minutes < 0 ? '-' : '+', size / 60,
                     size % 60);
}

std::string iso_time(std::int64_t ns) {
  const Moment moment = moment_of(ns);
  std::tm tm{};
  ::gmtime_r(&moment.seconds, &tm);
  return fmt::format("{}.{:06}Z", calendar(tm, 'T'), moment.nanoseconds / 1000);
}

void check_run_name(std::string_view name) {
  const auto refuse = [](const std::string& why) {
    throw Error(
        ErrorCode::invalid_argument,
        why + "; a run's name is UTF-8, 1 to 200 bytes, without control characters and '@'");
  };
  if (name.empty()) refuse("run name is empty");
  if (name.size() > run_name_size) {
    refuse(fmt::format("run name has {} bytes, more than {}", name.size(), run_name_size));
  }
  if (!is_utf8(name)) refuse("run name is no valid UTF-8");
  for (std::size_t at = 0; at < name.size(); ++at) {
    if (is_control(name, at)) {
      refuse(fmt::format("run name has a control character at byte {}", at));
    }
    if (name[at] == '@') refuse(fmt::format("run name \"{}\" contains '@'", name));
  }
}

}  // namespace ckp
