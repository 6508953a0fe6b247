// ckp::MetricFollower: the points in a run's journals.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <map>
#include <optional>
#include <utility>

#include "ckp/error.h"
#include "ckp/metrics.h"
#include "runs/field_reader.h"
#include "runs/journal.h"
#include "store/layout.h"

namespace ckp {

// A journal, and how far it has been read.
struct FollowedJournal {
  std::optional<format::JournalHeader> header;
  std::uint64_t next = 0;
  bool passed_over = false;
};

namespace {

MetricPoint point_from(const format::JournalRecord& record, std::uint32_t attempt) {
  const FieldReader fields(record.payload, "metrics record");
  MetricPoint point;
  point.attempt = attempt;
  point.commit = record.commit;
  fields.read("epoch", point.epoch);
  fields.read("step", point.step);
  fields.read("time_ns", point.time_ns);
  fields.read("values", point.values);
  return point;
}

struct Stretch {
  std::vector<format::JournalContents::Entry> records;
  std::uint64_t damaged = 0;  // bytes
};

// What has been appended whole since the last call. What a record lacks at the end of the file may
// be on its way: it is read again.
Stretch read_on(FileSystem& fs, const std::filesystem::path& path, const JournalName& name,
                const std::optional<Uuid>& run, FollowedJournal& journal) {
  const auto file = fs.open(path, OpenMode::read);
  const std::uint64_t size = file->status().size;
  if (size > max_journal_size || size <= journal.next) return {};
  if (!journal.header) {
    std::vector<std::byte> bytes(format::JournalHeader::size);
    bytes.resize(file->read_at(0, bytes));
    if (bytes.size() < format::JournalHeader::size) return {};
    const format::JournalHeader header = format::decode_journal_header(bytes);
    check_belongs(header, name, run.value_or(header.run));
    journal.header = header;
    journal.next = format::JournalHeader::size;
  }
  std::vector<std::byte> bytes(size - std::min(size, journal.next));
  bytes.resize(file->read_at(journal.next, bytes));
  const std::uint64_t end = journal.next + bytes.size();
  auto contents = format::decode_journal_part(*journal.header, bytes, journal.next);
  const bool torn = !contents.gaps.empty() && contents.gaps.back().end == end;
  journal.next = torn ? contents.gaps.back().offset : end;
  Stretch stretch;
  if (torn) contents.gaps.pop_back();
  for (const auto& gap : contents.gaps) stretch.damaged += gap.end - gap.offset;
  stretch.records = std::move(contents.records);
  return stretch;
}

}  // namespace

bool operator==(const MetricPoint& a, const MetricPoint& b) {
  const auto same = [](const auto& x, const auto& y) {
    return x.first == y.first &&
           std::bit_cast<std::uint64_t>(x.second) == std::bit_cast<std::uint64_t>(y.second);
  };
  return a.attempt == b.attempt && a.epoch == b.epoch && a.step == b.step &&
         a.time_ns == b.time_ns && a.commit == b.commit &&
         std::equal(a.values.begin(), a.values.end(), b.values.begin(), b.values.end(), same);
}

struct MetricFollower::State {
  std::shared_ptr<FileSystem> fs;
  std::filesystem::path directory;
  std::map<std::string, FollowedJournal> journals;
  std::vector<std::string> unread = {};

  // Of a copy elsewhere nothing tells whose it is.
  std::optional<Uuid> run() const { return parse_run_directory(directory.filename().string()); }
  void pass_over(const std::string& name, const std::string& reason) {
    if (std::exchange(journals[name].passed_over, true)) return;
    unread.push_back((directory / name).string() + ": " + reason);
  }
};

MetricFollower::MetricFollower(std::shared_ptr<FileSystem> fs, std::filesystem::path run_directory)
    : state_(std::make_unique<State>(State{std::move(fs), std::move(run_directory), {}})) {}
MetricFollower::MetricFollower(MetricFollower&&) noexcept = default;
MetricFollower& MetricFollower::operator=(MetricFollower&&) noexcept = default;
MetricFollower::~MetricFollower() = default;

const std::vector<std::string>& MetricFollower::unread() const { return state_->unread; }

std::vector<MetricPoint> MetricFollower::read() {
  std::vector<MetricPoint> points;
  std::vector<std::string> names;
  std::uint32_t newest = 0;
  bool renewed = false;
  try {
    names = state_->fs->list(state_->directory);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::not_found) throw;
    return points;
  }
  for (const std::string& name : names) {  // sorted: by attempt
    const auto parsed = parse_journal_name(name);
    if (!parsed) continue;
    renewed = renewed || parsed->attempt == newest;
    newest = parsed->attempt;
    try {
      const Stretch stretch = read_on(*state_->fs, state_->directory / name, *parsed, state_->run(),
                                      state_->journals[name]);
      if (stretch.damaged > 0) {
        state_->pass_over(name, fmt::format("{} bytes of it are damaged", stretch.damaged));
      }
      for (const auto& entry : stretch.records) {
        if (entry.record.kind != format::JournalKind::metrics) continue;
        points.push_back(point_from(entry.record, parsed->attempt));
      }
    } catch (const Error& error) {
      const bool unreadable = error.code() == ErrorCode::corrupt ||
                              error.code() == ErrorCode::newer_format ||
                              error.code() == ErrorCode::not_found;
      if (!unreadable) throw;
      if (error.code() != ErrorCode::not_found) state_->pass_over(name, error.what());
    }
  }
  if (!renewed) return points;
  // An attempt that went on in another journal took along what was not durable in the first.
  std::stable_sort(points.begin(), points.end(), [](const MetricPoint& a, const MetricPoint& b) {
    return std::pair(a.attempt, a.time_ns) < std::pair(b.attempt, b.time_ns);
  });
  points.erase(std::unique(points.begin(), points.end()), points.end());
  return points;
}

}  // namespace ckp
