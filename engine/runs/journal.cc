#include "runs/journal.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "ckp/error.h"
#include "io/host.h"
#include "runs/record_codec.h"
#include "store/layout.h"

namespace ckp {

JournalWriter::JournalWriter(FileSystem& fs, const std::filesystem::path& run_directory,
                             const Uuid& run, std::uint32_t attempt) {
  header_.run = run;
  header_.journal = random_uuid();
  const std::filesystem::path path =
      run_directory / to_file_name(JournalName{.attempt = attempt, .journal = header_.journal});
  file_ = fs.open(path, OpenMode::create_new);
  try {
    // Waits for no owner, at most for somebody who is looking whether there is one.
    file_->lock(owner_lock_byte, LockKind::exclusive, true);
    const std::vector<std::byte> bytes = format::encode_journal_header(header_);
    file_->write_at(0, bytes);
    digest_.update(bytes);
    length_ = bytes.size();
  } catch (...) {
    try {
      fs.remove(path);
    } catch (const Error&) {
      // The first error is the one to report.
    }
    throw;
  }
}

void JournalWriter::append(format::JournalKind kind, std::uint64_t commit, Value payload) {
  const std::vector<std::byte> bytes = format::encode_journal_record(
      {.kind = kind, .sequence = sequence_, .commit = commit, .payload = std::move(payload)},
      header_, length_);
  try {
    file_->write_at(length_, bytes);
  } catch (...) {
    try {
      file_->truncate(length_);
    } catch (const Error&) {
      // What is left is a torn tail, which readers skip.
    }
    throw;
  }
  digest_.update(bytes);
  length_ += bytes.size();
  ++sequence_;
}

void JournalWriter::sync() {
  file_->sync();
  synced_length_ = length_;
  synced_sequence_ = sequence_;
}

std::optional<std::vector<format::JournalRecord>> JournalWriter::read_unsynced(
    FileSystem& fs, const std::filesystem::path& run_directory) const {
  std::vector<format::JournalRecord> records;
  try {
    const auto bytes = read_journal_file(fs, run_directory / path().filename());
    for (auto& entry : format::decode_journal(bytes).records) {
      if (entry.offset >= synced_length_) records.push_back(std::move(entry.record));
    }
  } catch (const Error&) {
    return std::nullopt;
  }
  if (records.size() != sequence_ - synced_sequence_) return std::nullopt;
  return records;
}

JournalMark JournalWriter::mark() const {
  return {.journal = header_.journal, .length = length_, .digest = digest_.digest()};
}

std::vector<std::byte> read_journal_file(FileSystem& fs, const std::filesystem::path& file) {
  const auto opened = fs.open(file, OpenMode::read);
  const std::uint64_t size = opened->status().size;
  if (size > max_journal_size) {
    throw Error(ErrorCode::corrupt,
                fmt::format("{}: {} bytes; no journal is larger than {}: this file was not written "
                            "as one",
                            file.string(), size, max_journal_size));
  }
  std::vector<std::byte> bytes(size);
  bytes.resize(opened->read_at(0, bytes));
  return bytes;
}

namespace {

// Builds one run's record from its journals, which arrive in the order of their attempts.
class Merger {
 public:
  explicit Merger(RunJournals& out) : out_(out) {}

  void add(const format::JournalContents& journal) {
    // Every attempt begins in progress. A journal without a single whole record says nothing, and
    // one that an attempt went on in, or had before, nothing new.
    const bool is_known =
        std::any_of(journal.records.begin(), journal.records.end(), [&](const auto& entry) {
          return entry.record.kind == format::JournalKind::attempt_opened &&
                 attempts_.contains(attempt_from_payload(entry.record.payload).number);
        });
    if (!journal.records.empty() && !is_known) status_ = RunStatus::in_progress;
    newest_ = nullptr;
    for (const auto& entry : journal.records) add(entry.record, journal.header.run);
  }

  void finish() {
    if (!out_.run) return;
    out_.run->status = status_;
    for (auto& [number, attempt] : attempts_) out_.run->attempts.push_back(std::move(attempt));
  }

 private:
  void add(const format::JournalRecord& record, const Uuid& run) {
    switch (record.kind) {
      case format::JournalKind::run_created:
        if (out_.run) return;
        out_.run = run_from_created(record.payload);
        out_.run->id = run;
        return;
      case format::JournalKind::attempt_opened: {
        Attempt attempt = attempt_from_payload(record.payload);
        const std::uint32_t number = attempt.number;
        newest_ = &attempts_.emplace(number, std::move(attempt)).first->second;
        return;
      }
      case format::JournalKind::status:
        status_ = status_from_payload(record.payload);
        if (newest_ != nullptr) {
          newest_->last_seen_ns =
              std::max(newest_->last_seen_ns, time_from_payload(record.payload));
        }
        return;
      case format::JournalKind::metrics:
      case format::JournalKind::repaired:
      case format::JournalKind::marks:
      case format::JournalKind::source_diff:
        return;
    }
    // Other kinds are of later versions, and skipped.
  }

  RunJournals& out_;
  std::map<std::uint32_t, Attempt> attempts_;
  Attempt* newest_ = nullptr;  // of the journal that is being read
  RunStatus status_ = RunStatus::in_progress;
};

struct Named {
  JournalName name;
  std::string file_name;
};

std::vector<Named> journals_among(const std::vector<std::string>& names) {
  std::vector<Named> journals;
  for (const std::string& name : names) {
    if (const auto parsed = parse_journal_name(name)) journals.push_back({*parsed, name});
  }
  std::ranges::sort(journals, [](const Named& a, const Named& b) {
    return std::pair(a.name.attempt, a.file_name) < std::pair(b.name.attempt, b.file_name);
  });
  return journals;
}

constexpr std::size_t sector_size = 512;

// Whether the part of some sector that lies in [begin, end) is all zeros, up to that sector's end.
bool holds_empty_sector(std::span<const std::byte> file, std::uint64_t begin, std::uint64_t end) {
  while (begin < end) {
    const std::uint64_t stop =
        std::min<std::uint64_t>((begin / sector_size + 1) * sector_size, file.size());
    const auto part = file.subspan(begin, stop - begin);
    const auto is_zero = [](std::byte b) { return b == std::byte{0}; };
    if (stop <= end && std::ranges::all_of(part, is_zero)) return true;
    begin = stop;
  }
  return false;
}

// A file under another's name, or in another run's directory.
}  // namespace

void check_belongs(const format::JournalHeader& header, const JournalName& name, const Uuid& run) {
  if (header.journal != name.journal) {
    throw Error(ErrorCode::corrupt, fmt::format("the header names journal {}, the file name {}",
                                                header.journal.hex(), name.journal.hex()));
  }
  if (header.run != run) {
    throw Error(ErrorCode::corrupt,
                fmt::format("the journal is of run {}, but stands in the directory of run {}",
                            header.run.hex(), run.hex()));
  }
}

RunJournals read_journals(FileSystem& fs, const std::filesystem::path& run_directory,
                          const std::vector<std::string>& names) {
  RunJournals result;
  Merger merger(result);
  const std::string directory = run_directory.filename().string();
  std::optional<Uuid> run = parse_run_directory(directory);
  for (const Named& named : journals_among(names)) {
    RunJournals::File& report = result.files.emplace_back();
    report.name = named.file_name;
    std::vector<std::byte> bytes;
    try {
      bytes = read_journal_file(fs, run_directory / named.file_name);
      report.size = bytes.size();
      format::JournalContents contents = format::decode_journal(bytes);
      if (!run) run = contents.header.run;
      check_belongs(contents.header, named.name, *run);
      merger.add(contents);
      for (auto& gap : contents.gaps) {
        const bool empty = holds_empty_sector(bytes, gap.offset, gap.end);
        report.gaps.push_back({std::move(gap), empty});
      }
      for (const auto& entry : contents.records) {
        if (entry.record.kind != format::JournalKind::repaired) continue;
        report.repairs.push_back(repair_from_payload(entry.record.payload));
      }
    } catch (const Error& error) {
      if (error.code() != ErrorCode::corrupt && error.code() != ErrorCode::newer_format &&
          error.code() != ErrorCode::not_found) {
        throw;  // cannot be read right now: not the same as lost
      }
      report.error = error.what();
      report.newer = error.code() == ErrorCode::newer_format;
      report.never_written =
          holds_empty_sector(bytes, 0, std::min<std::uint64_t>(bytes.size(), sector_size));
    }
  }
  merger.finish();
  if (result.run) result.run->directory = directory;
  return result;
}

std::string check_mark(FileSystem& fs, const std::filesystem::path& journal_file,
                       const JournalMark& mark) {
  const std::string name = journal_file.string();
  std::unique_ptr<File> file;
  try {
    file = fs.open(journal_file, OpenMode::read);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::not_found) throw;
    return fmt::format("{}: the journal is missing; the checkpoint was saved when it had {} bytes",
                       name, mark.length);
  }
  const std::uint64_t size = file->status().size;
  if (size < mark.length) {
    return fmt::format(
        "{}: {} bytes, expected at least the {} that it had when the checkpoint was "
        "saved: {} bytes of records are lost",
        name, size, mark.length, mark.length - size);
  }
  DigestStream stream;
  std::vector<std::byte> buffer(std::min<std::uint64_t>(mark.length, 1u << 20));
  std::uint64_t done = 0;
  while (done < mark.length) {
    const auto piece =
        std::span(buffer).first(std::min<std::uint64_t>(buffer.size(), mark.length - done));
    const std::size_t got = file->read_at(done, piece);
    if (got == 0) break;
    stream.update(piece.first(got));
    done += got;
  }
  const Digest found = stream.digest();
  if (found == mark.digest) return "";
  return fmt::format(
      "{}: the first {} bytes have digest {}, expected {}: records that were there "
      "when the checkpoint was saved are damaged",
      name, mark.length, found.hex(), mark.digest.hex());
}

bool run_is_held(FileSystem& fs, const std::filesystem::path& run_directory,
                 const std::vector<std::string>& names) {
  // The newest attempt first: it is the one that may be alive.
  std::vector<Named> journals = journals_among(names);
  std::ranges::reverse(journals);
  for (const Named& named : journals) {
    try {
      const auto file = fs.open(run_directory / named.file_name, OpenMode::read);
      if (!file->lock(owner_lock_byte, LockKind::shared, false)) return true;
    } catch (const Error& error) {
      if (error.code() != ErrorCode::not_found) throw;  // removed meanwhile
    }
  }
  return false;
}

}  // namespace ckp
