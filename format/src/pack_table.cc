// Rows of the chunk table, and the names of records in messages.
#include <fmt/format.h>

#include "ckp/format/wire.h"
#include "pack_internal.h"

namespace ckp::format {

std::uint64_t next_record_offset(std::uint64_t offset, std::uint8_t alignment_log2) {
  return align_up(offset + RecordHeader::size, std::uint64_t{1} << alignment_log2) -
         RecordHeader::size;
}

std::vector<std::byte> encode_table(std::span<const TableEntry> entries) {
  Writer out;
  for (const TableEntry& entry : entries) {
    out.u8(static_cast<std::uint8_t>(entry.kind));
    out.u8(static_cast<std::uint8_t>(entry.codec));
    out.u8(entry.base_depth);
    out.u8(0);
    out.u32(entry.number);
    out.u32(entry.copy);
    out.u32(0);
    out.u64(entry.offset);
    out.u32(entry.raw_size);
    out.u32(entry.stored_size);
    out.digest(entry.raw_digest);
  }
  return out.release();
}

std::vector<TableEntry> decode_table(std::span<const std::byte> raw) {
  Reader in(raw, "chunk table");
  std::vector<TableEntry> entries(raw.size() / TableEntry::size);
  for (TableEntry& entry : entries) {
    entry.kind = static_cast<RecordKind>(in.u8());
    entry.codec = static_cast<Codec>(in.u8());
    entry.base_depth = in.u8();
    in.expect_zero(1);
    entry.number = in.u32();
    entry.copy = in.u32();
    in.expect_zero(4);
    entry.offset = in.u64();
    entry.raw_size = in.u32();
    entry.stored_size = in.u32();
    entry.raw_digest = in.digest();
  }
  in.expect_end();
  return entries;
}

std::string_view to_string(RecordKind kind) {
  switch (kind) {
    case RecordKind::chunk:
      return "chunk";
    case RecordKind::manifest:
      return "manifest";
    case RecordKind::chunk_table:
      return "chunk table";
  }
  return "unknown record";
}

std::string describe(RecordKind kind, std::uint32_t number, std::uint32_t copy,
                     std::uint64_t offset) {
  if (kind == RecordKind::chunk) return fmt::format("chunk {} at offset {}", number, offset);
  if (kind == RecordKind::chunk_table) return fmt::format("chunk table at offset {}", offset);
  return fmt::format("{} {} (copy {}) at offset {}", to_string(kind), number, copy, offset);
}

std::string describe(const TableEntry& entry) {
  return describe(entry.kind, entry.number, entry.copy, entry.offset);
}

TableEntry table_entry(const RecordHeader& header, std::uint64_t offset) {
  return {.kind = header.kind,
          .codec = header.codec,
          .base_depth = header.base_depth,
          .number = header.number,
          .copy = header.copy,
          .offset = offset,
          .raw_size = static_cast<std::uint32_t>(header.raw_size),
          .stored_size = static_cast<std::uint32_t>(header.stored_size),
          .raw_digest = header.raw_digest};
}

}  // namespace ckp::format
