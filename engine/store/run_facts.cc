#include "store/run_facts.h"

#include <fmt/format.h>

#include <algorithm>

#include "ckp/error.h"
#include "ckp/shell_word.h"
#include "runs/field_reader.h"
#include "runs/record_codec.h"

namespace ckp {
namespace {

// Many points of usual size; an end that holds one larger record only tells nothing.
constexpr std::uint64_t journal_end_size = std::uint64_t{64} << 10;

std::int64_t time_of(const format::JournalRecord& record) {
  switch (record.kind) {
    case format::JournalKind::metrics:
    case format::JournalKind::status:
      return time_from_payload(record.payload);
    case format::JournalKind::attempt_opened:
      return attempt_from_payload(record.payload).started_ns;
    default:
      return 0;
  }
}

std::int64_t last_time_in(FileSystem& fs, const std::filesystem::path& journal,
                          const JournalName& name, const Uuid& run) {
  const auto file = fs.open(journal, OpenMode::read);
  std::vector<std::byte> bytes(format::JournalHeader::size);
  bytes.resize(file->read_at(0, bytes));
  const format::JournalHeader header = format::decode_journal_header(bytes);
  check_belongs(header, name, run);
  const std::uint64_t size = file->status().size;
  const std::uint64_t begin =
      std::max<std::uint64_t>(format::JournalHeader::size, size - std::min(size, journal_end_size));
  bytes.resize(size - std::min(size, begin));
  bytes.resize(file->read_at(begin, bytes));
  std::int64_t last = 0;
  for (const auto& entry : format::decode_journal_part(header, bytes, begin).records) {
    last = std::max(last, time_of(entry.record));
  }
  return last;
}

}  // namespace

std::int64_t last_sign_of_life(FileSystem& fs, const RunDirectory& directory) {
  std::uint32_t newest = 0;
  std::int64_t last = 0;
  for (const std::string& name : directory.names) {
    const auto journal = parse_journal_name(name);
    if (!journal || journal->attempt < newest) continue;
    if (journal->attempt > newest) last = 0;
    newest = journal->attempt;
    try {
      last = std::max(last, last_time_in(fs, directory.path / name, *journal, directory.run));
    } catch (const Error&) {
      // Then the checkpoints tell it.
    }
  }
  return last;
}

std::optional<std::string> read_source_diff(FileSystem& fs, const RunDirectory& directory,
                                            std::uint32_t attempt) {
  for (const std::string& name : directory.names) {
    const auto journal = parse_journal_name(name);
    if (!journal || journal->attempt != attempt) continue;
    const auto bytes = read_journal_file(fs, directory.path / name);
    format::JournalContents contents;
    try {
      contents = format::decode_journal(bytes);
      check_belongs(contents.header, *journal, directory.run);
    } catch (const Error& error) {
      const std::string store = shell_word(directory.path.parent_path().parent_path().string());
      throw Error(error.code(),
                  fmt::format("{}: {}; what else is damaged says: ckptool verify {}; what can be "
                              "mended mends: ckptool repair {}",
                              (directory.path / name).string(), error.what(), store, store));
    }
    for (const auto& entry : contents.records) {
      if (entry.record.kind != format::JournalKind::source_diff) continue;
      const Value* const diff = entry.record.payload.find("diff");
      if (diff == nullptr) continue;
      if (const auto* text = diff->get_if<std::string>()) return *text;
      if (const auto* raw = diff->get_if<Value::Bytes>()) {
        return std::string(reinterpret_cast<const char*>(raw->data()), raw->size());
      }
    }
  }
  return std::nullopt;
}

}  // namespace ckp
