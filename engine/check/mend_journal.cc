#include "check/mend_journal.h"

#include <algorithm>

#include "ckp/error.h"
#include "runs/record_codec.h"

namespace ckp {
namespace {

std::vector<std::byte> read_whole(FileSystem& fs, const std::filesystem::path& path) {
  if (!fs.status(path)) return {};
  return read_journal_file(fs, path);
}

// Records are valid in one journal at one offset only: under the right header, those of another
// journal are none.
void put_header(std::vector<std::byte>& bytes, const format::JournalHeader& header) {
  const auto encoded = format::encode_journal_header(header);
  if (bytes.size() < encoded.size()) bytes.resize(encoded.size());
  std::copy(encoded.begin(), encoded.end(), bytes.begin());
}

bool has_gap_inside(const format::JournalContents& contents, std::uint64_t size) {
  return std::any_of(contents.gaps.begin(), contents.gaps.end(),
                     [&](const auto& gap) { return gap.end != size; });
}

// `size`: of the file before anything is cut off.
std::uint64_t lost_bytes(const format::JournalContents& contents, std::uint64_t size,
                         std::uint64_t marked) {
  std::uint64_t lost = marked > size ? marked - size : 0;
  for (const auto& gap : contents.gaps) lost += gap.end - gap.offset;
  return lost;
}

}  // namespace

MendedJournal mend_journal(FileSystem& fs, const JournalProblem& problem, const Uuid& run) {
  format::JournalHeader header;
  header.run = run;
  header.journal = problem.name.journal;
  MendedJournal result;
  result.bytes = read_whole(fs, problem.path);
  put_header(result.bytes, header);
  const auto contents = format::decode_journal(result.bytes);
  result.records = contents.records.size();
  result.lost = lost_bytes(contents, result.bytes.size(), problem.mark.length);
  if (contents.records.empty()) result.bytes.resize(format::JournalHeader::size);
  const auto marked = std::span(result.bytes);
  result.restores = problem.mark.length <= marked.size() &&
                    digest_of(marked.first(problem.mark.length)) == problem.mark.digest &&
                    !has_gap_inside(contents, result.bytes.size());
  if (result.restores) return result;
  const JournalRepair repair{result.bytes.size(), digest_of(result.bytes), problem.mark.length};
  format::JournalRecord record;
  record.kind = format::JournalKind::repaired;
  record.payload = repair_payload(repair);
  for (const auto& entry : contents.records) {
    record.sequence = std::max(record.sequence, entry.record.sequence + 1);
    record.commit = std::max(record.commit, entry.record.commit);
  }
  const auto encoded = format::encode_journal_record(record, header, result.bytes.size());
  result.bytes.insert(result.bytes.end(), encoded.begin(), encoded.end());
  return result;
}

}  // namespace ckp
