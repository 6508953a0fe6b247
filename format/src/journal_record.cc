#include "ckp/format/journal_record.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "checked.h"
#include "ckp/error.h"
#include "ckp/format/limits.h"
#include "header_frame.h"

namespace ckp::format {
namespace {

constexpr std::string_view journal_what = "journal";
constexpr std::array<std::byte, 4> journal_record_magic{std::byte{0x8a}, std::byte{'J'},
                                                        std::byte{'R'}, std::byte{'\n'}};
constexpr std::size_t header_size = JournalRecord::header_size;
// Bytes of the header that each checksum covers; the rest of the header are the checksums.
constexpr std::size_t header_checksum_at = 28;
constexpr std::size_t checksum_at = 32;

// What a checksum covers after the bytes themselves: the record's only right place.
void update_place(DigestStream& stream, const JournalHeader& in, std::uint64_t offset) {
  Writer place;
  place.uuid(in.run);
  place.uuid(in.journal);
  place.u64(offset);
  stream.update(place.buffer());
}

std::uint32_t header_checksum(std::span<const std::byte> record, const JournalHeader& in,
                              std::uint64_t offset) {
  DigestStream stream;
  stream.update(record.first(header_checksum_at));
  update_place(stream, in, offset);
  return static_cast<std::uint32_t>(stream.checksum());
}

std::uint64_t record_checksum(std::span<const std::byte> record, const JournalHeader& in,
                              std::uint64_t offset) {
  DigestStream stream;
  stream.update(record.first(checksum_at));
  stream.update(record.subspan(header_size));
  update_place(stream, in, offset);
  return stream.checksum();
}

void check_uuids(const JournalHeader& header, ErrorCode code) {
  if (header.run.is_nil()) throw Error(code, "journal: the run's uuid is all zero");
  if (header.journal.is_nil()) throw Error(code, "journal: the journal's uuid is all zero");
}

// A record found at an offset, with its size in the file; or why there is none.
struct Found {
  JournalRecord record;
  std::size_t size = 0;
  std::string reason;
};

// The record header alone; the payload is neither read nor is its length believed before the
// header's own checksum is right.
Found read_header(std::span<const std::byte> rest, const JournalHeader& in, std::uint64_t offset) {
  Found found;
  const auto magic = rest.first(std::min(rest.size(), journal_record_magic.size()));
  if (!std::equal(magic.begin(), magic.end(), journal_record_magic.begin())) {
    found.reason = "no record starts here";
  } else if (rest.size() < header_size) {
    found.reason =
        fmt::format("the file ends after {} of {} header bytes", rest.size(), header_size);
  }
  if (!found.reason.empty()) return found;

  Reader reader(rest.first(header_size), "journal record");
  reader.skip(journal_record_magic.size());
  const std::uint32_t payload_size = reader.u32();
  found.record.sequence = reader.u64();
  found.record.commit = reader.u64();
  found.record.kind = static_cast<JournalKind>(reader.u16());
  const std::uint16_t reserved = reader.u16();
  if (reader.u32() != header_checksum(rest, in, offset)) {
    found.reason = "record header checksum is wrong";
  } else if (reserved != 0) {
    found.reason = fmt::format("reserved field of the record header is {}, expected 0", reserved);
  } else if (found.record.kind == JournalKind{0}) {
    found.reason = "record kind is 0";
  } else if (payload_size > limits::journal_record_size) {
    found.reason = fmt::format("payload of {} bytes is over the limit of {}", payload_size,
                               limits::journal_record_size);
  }
  found.size = header_size + payload_size;
  return found;
}

Found read_record(std::span<const std::byte> rest, const JournalHeader& in, std::uint64_t offset) {
  Found found = read_header(rest, in, offset);
  if (!found.reason.empty()) return found;
  if (found.size > rest.size()) {
    found.reason =
        fmt::format("the file ends after {} of {} record bytes", rest.size(), found.size);
    return found;
  }
  const auto record = rest.first(found.size);
  if (Reader(record.subspan(checksum_at, 8), "journal record").u64() !=
      record_checksum(record, in, offset)) {
    found.reason = "record checksum is wrong";
    return found;
  }
  try {
    found.record.payload = from_cbor(record.subspan(header_size));
  } catch (const Error& error) {
    found.reason = fmt::format("record payload: {}", error.what());
  }
  return found;
}

// The next place after `from` where a record may start, or the end.
std::size_t next_magic(std::span<const std::byte> file, std::size_t from) {
  const auto begin = file.begin() + static_cast<std::ptrdiff_t>(std::min(from, file.size()));
  const auto found =
      std::search(begin, file.end(), journal_record_magic.begin(), journal_record_magic.end());
  return static_cast<std::size_t>(found - file.begin());
}

}  // namespace

std::vector<std::byte> encode_journal_header(const JournalHeader& header) {
  check_uuids(header, ErrorCode::invalid_argument);
  Writer writer = begin_header(journal_magic, header.versions, header.features);
  writer.uuid(header.run);
  writer.uuid(header.journal);
  return seal(writer, JournalHeader::size);
}

JournalHeader decode_journal_header(std::span<const std::byte> bytes) {
  auto [versions, features, fields] =
      open_header(bytes, JournalHeader::size, journal_magic, journal_what);
  JournalHeader header;
  header.versions = versions;
  header.features = features;
  header.run = fields.uuid();
  header.journal = fields.uuid();
  fields.expect_zero(fields.remaining());
  check_uuids(header, ErrorCode::corrupt);
  return header;
}

std::vector<std::byte> encode_journal_record(const JournalRecord& record, const JournalHeader& in,
                                             std::uint64_t offset) {
  const std::vector<std::byte> payload = to_cbor(record.payload);
  if (payload.size() > limits::journal_record_size) {
    throw Error(ErrorCode::invalid_argument,
                fmt::format("journal record: payload of {} bytes is over the limit of {}; store "
                            "large values in a checkpoint instead",
                            payload.size(), limits::journal_record_size));
  }
  Writer fields;
  fields.bytes(journal_record_magic);
  fields.u32(static_cast<std::uint32_t>(payload.size()));
  fields.u64(record.sequence);
  fields.u64(record.commit);
  fields.u16(static_cast<std::uint16_t>(record.kind));
  fields.u16(0);
  fields.u32(header_checksum(fields.buffer(), in, offset));
  DigestStream stream;
  stream.update(fields.buffer());
  stream.update(payload);
  update_place(stream, in, offset);
  fields.u64(stream.checksum());
  fields.bytes(payload);
  return fields.release();
}

JournalContents decode_journal(std::span<const std::byte> file) {
  const JournalHeader header = decode_journal_header(file);
  return decode_journal_part(header, file.subspan(JournalHeader::size), JournalHeader::size);
}

JournalContents decode_journal_part(const JournalHeader& header, std::span<const std::byte> part,
                                    std::uint64_t offset) {
  JournalContents contents;
  contents.header = header;
  std::size_t at = 0;
  bool in_gap = false;
  while (at < part.size()) {
    Found found = read_record(part.subspan(at), header, offset + at);
    if (found.reason.empty()) {
      contents.records.push_back({.offset = offset + at, .record = std::move(found.record)});
      at += found.size;
      in_gap = false;
      continue;
    }
    // Searching goes on right behind the bad magic, not behind the length it claims: what follows
    // a torn record was appended where the tear left off.
    const std::size_t next = next_magic(part, at + 1);
    if (!in_gap) {
      contents.gaps.push_back(
          {.offset = offset + at, .end = offset + next, .reason = std::move(found.reason)});
    }
    contents.gaps.back().end = offset + next;
    in_gap = true;
    at = next;
  }
  return contents;
}

}  // namespace ckp::format
