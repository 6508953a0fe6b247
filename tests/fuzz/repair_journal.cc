// Offsets are those of spec/store.md.
#include <algorithm>
#include <vector>

#include "ckp/digest.h"
#include "ckp/format/journal_record.h"
#include "fuzz/bytes.h"
#include "fuzz/repair.h"
#include "support/fixed_header.h"

namespace ckp::fuzz {
namespace {

using format::JournalHeader;
using format::JournalRecord;

constexpr unsigned char magic[] = {0x8a, 0x4a, 0x52, 0x0a};
constexpr std::size_t uuids_at = 40, length_at = 4, header_checksum_at = 28, checksum_at = 32;

bool is_record(MutableBytes file, std::size_t at) {
  return std::equal(std::begin(magic), std::end(magic), file.begin() + static_cast<long>(at),
                    [](unsigned char a, std::byte b) { return static_cast<std::byte>(a) == b; });
}

// XXH3-64 of `parts` and the record's place in this file.
std::uint64_t checksum(MutableBytes file, std::size_t at, MutableBytes first, MutableBytes second) {
  std::vector<std::byte> covered(first.begin(), first.end());
  covered.insert(covered.end(), second.begin(), second.end());
  covered.insert(covered.end(), file.begin() + uuids_at, file.begin() + uuids_at + 32);
  covered.resize(covered.size() + 8);
  put_number(covered, covered.size() - 8, 8, at);
  return checksum_of(covered);
}

// Its size, or 0 when it does not fit.
std::size_t repair_record(MutableBytes file, std::size_t at) {
  const MutableBytes record = file.subspan(at);
  put_number(record, header_checksum_at, 4,
             checksum(file, at, record.first(header_checksum_at), {}));
  const std::uint64_t length = get_number(record, length_at, 4);
  if (length > record.size() - JournalRecord::header_size) return 0;
  put_number(record, checksum_at, 8,
             checksum(file, at, record.first(checksum_at),
                      record.subspan(JournalRecord::header_size, length)));
  return JournalRecord::header_size + length;
}

}  // namespace

void repair_journal(MutableBytes file, Repair) {
  if (file.size() < JournalHeader::size) return;
  test::reseal(file.first(JournalHeader::size));
  for (std::size_t at = JournalHeader::size; at + JournalRecord::header_size <= file.size();) {
    const std::size_t size = is_record(file, at) ? repair_record(file, at) : 0;
    at += std::max<std::size_t>(size, 1);
  }
}

}  // namespace ckp::fuzz
