// Record headers; the offsets are in spec/format.md, "Record header".
#include "ckp/format/record.h"

#include <fmt/format.h>

#include <algorithm>

#include "ckp/error.h"
#include "ckp/format/limits.h"
#include "ckp/format/wire.h"
#include "header_frame.h"

namespace ckp::format {
namespace {

constexpr std::size_t checksum_offset = RecordHeader::size - 8;

// Over the header's fields and the place that they belong to.
std::uint64_t header_checksum(std::span<const std::byte> fields, const RecordPlace& place) {
  Writer covered;
  covered.bytes(fields);
  covered.uuid(place.pack);
  covered.u64(place.offset);
  covered.u32(place.generation);
  return checksum_of(covered.buffer());
}

[[noreturn]] void bad(const RecordPlace& place, std::string_view what) {
  throw Error(ErrorCode::corrupt,
              fmt::format("record header at offset {}: {}", place.offset, what));
}

std::uint64_t raw_size_limit(RecordKind kind) {
  switch (kind) {
    case RecordKind::chunk:
      return limits::chunk_raw_size;
    case RecordKind::manifest:
      return limits::manifest_raw_size;
    case RecordKind::chunk_table:
      break;
  }
  return UINT32_MAX;
}

void check_kind(const RecordHeader& header, const RecordPlace& place) {
  if (header.kind < RecordKind::chunk || header.kind > RecordKind::chunk_table) {
    bad(place, fmt::format("kind is {}, expected 1 to 3", static_cast<unsigned>(header.kind)));
  }
  if (header.copy > (header.kind == RecordKind::manifest ? 1u : 0u)) {
    bad(place, fmt::format("copy is {}", header.copy));
  }
}

void check_sizes(const RecordHeader& header, const RecordPlace& place) {
  if (header.raw_size > raw_size_limit(header.kind)) {
    bad(place, fmt::format("raw_size is {}, the limit is {}", header.raw_size,
                           raw_size_limit(header.kind)));
  }
  if (header.stored_size > header.raw_size) {
    bad(place, fmt::format("stored_size is {}, more than raw_size {}", header.stored_size,
                           header.raw_size));
  }
  if (header.codec == Codec::raw && header.stored_size != header.raw_size) {
    bad(place, fmt::format("codec raw: stored_size is {}, expected raw_size {}", header.stored_size,
                           header.raw_size));
  }
  if (header.codec == Codec::constant && header.stored_size != 1) {
    bad(place, fmt::format("codec constant: stored_size is {}, expected 1", header.stored_size));
  }
}

// After the checksum was right: what is unknown here was written by a newer version.
void check_known(const RecordHeader& header, const RecordPlace& place) {
  if (header.codec > Codec::planes) {
    throw Error(ErrorCode::newer_format,
                fmt::format("record {} at offset {}: codec {} ({}) is not known to this version of "
                            "ckpstore; use a newer one",
                            header.number, place.offset, static_cast<unsigned>(header.codec),
                            to_string(header.codec)));
  }
  const bool has_base = !header.base.pack.is_nil() || header.base.number != 0 ||
                        header.base_digest != Digest{} || header.base_depth != 0 ||
                        header.base_path != 0;
  if (has_base) {
    throw Error(
        ErrorCode::newer_format,
        fmt::format("record {} at offset {}: has a base (chunk {} of pack {}), which this "
                    "version of ckpstore does not know; use a newer one",
                    header.number, place.offset, header.base.number, header.base.pack.hex()));
  }
}

}  // namespace

std::array<std::byte, RecordHeader::size> encode_record_header(const RecordHeader& header,
                                                               const RecordPlace& place) {
  Writer out;
  out.bytes(pack_record_magic);
  out.u8(static_cast<std::uint8_t>(header.kind));
  out.u8(static_cast<std::uint8_t>(header.codec));
  out.u8(header.base_depth);
  out.u8(0);
  out.u32(header.number);
  out.u32(header.copy);
  out.u32(0);
  out.u64(header.raw_size);
  out.u64(header.stored_size);
  out.digest(header.raw_digest);
  out.u64(header.stored_checksum);
  out.uuid(header.base.pack);
  out.u32(header.base.number);
  out.u32(0);
  out.digest(header.base_digest);
  out.u64(header.base_path);
  out.zeros(8);
  out.u64(header_checksum(out.buffer(), place));
  std::array<std::byte, RecordHeader::size> bytes;
  std::copy(out.buffer().begin(), out.buffer().end(), bytes.begin());
  return bytes;
}

RecordHeader decode_record_header(std::span<const std::byte> bytes, const RecordPlace& place) {
  if (bytes.size() < RecordHeader::size) {
    bad(place, fmt::format("only {} of {} bytes are there", bytes.size(), RecordHeader::size));
  }
  if (!has_record_magic(bytes)) bad(place, "magic not found");
  Reader checksum(bytes.subspan(checksum_offset, 8), "record header");
  const std::uint64_t expected = header_checksum(bytes.first(checksum_offset), place);
  if (const std::uint64_t found = checksum.u64(); found != expected) {
    bad(place, fmt::format("header_checksum is {:016x}, expected {:016x}: damaged, or of another "
                           "pack, offset or generation",
                           found, expected));
  }
  Reader in(bytes.subspan(pack_record_magic.size(), checksum_offset - pack_record_magic.size()),
            "record header");
  RecordHeader header;
  header.kind = static_cast<RecordKind>(in.u8());
  header.codec = static_cast<Codec>(in.u8());
  header.base_depth = in.u8();
  in.expect_zero(1);
  header.number = in.u32();
  header.copy = in.u32();
  in.expect_zero(4);
  header.raw_size = in.u64();
  header.stored_size = in.u64();
  header.raw_digest = in.digest();
  header.stored_checksum = in.u64();
  header.base.pack = in.uuid();
  header.base.number = in.u32();
  in.expect_zero(4);
  header.base_digest = in.digest();
  header.base_path = in.u64();
  in.expect_zero(8);
  check_kind(header, place);
  check_known(header, place);
  check_sizes(header, place);
  return header;
}

bool has_record_magic(std::span<const std::byte> bytes) {
  return bytes.size() >= pack_record_magic.size() &&
         std::equal(pack_record_magic.begin(), pack_record_magic.end(), bytes.begin());
}

}  // namespace ckp::format
