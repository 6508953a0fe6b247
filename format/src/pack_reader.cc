// Reads a pack by its trailer and chunk table.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "ckp/format/limits.h"
#include "pack_internal.h"

namespace ckp::format {
namespace {

template <std::size_t size>
std::array<std::byte, size> read_array(const ByteSource& source, std::uint64_t offset) {
  std::array<std::byte, size> bytes{};
  source.read(offset, bytes);
  return bytes;
}

PackHeader read_header(const ByteSource& source) {
  std::array<std::byte, PackHeader::size> bytes{};
  const auto here = std::span(bytes).first(std::min<std::uint64_t>(source.size(), bytes.size()));
  if (!here.empty()) source.read(0, here);
  return decode_pack_header(here);
}

PackTrailer read_trailer(const ByteSource& source, const PackHeader& header) {
  const std::uint64_t size = source.size();
  if (size < PackHeader::size + PackTrailer::size) {
    corrupt(
        fmt::format("the file has {} bytes, less than header and trailer: it was cut short", size));
  }
  const auto trailer =
      decode_pack_trailer(read_array<PackTrailer::size>(source, size - PackTrailer::size));
  if (trailer.uuid != header.uuid || trailer.generation != header.generation) {
    corrupt(
        fmt::format("pack trailer: belongs to pack {} generation {}, the header to pack {} "
                    "generation {}",
                    trailer.uuid.hex(), trailer.generation, header.uuid.hex(), header.generation));
  }
  if (trailer.file_size != size) {
    corrupt(fmt::format("pack trailer: file_size is {}, the file has {} bytes", trailer.file_size,
                        size));
  }
  return trailer;
}

RecordPlace place_of(const PackDirectory& directory, std::uint64_t offset) {
  return {directory.header.uuid, offset, directory.header.generation};
}

// The record's payload must end before the trailer.
void check_inside(std::uint64_t offset, std::uint64_t stored_size, std::uint64_t file_size) {
  const std::uint64_t end = file_size - PackTrailer::size;
  if (offset % record_alignment != 0 || offset < PackHeader::size || offset > end ||
      end - offset < RecordHeader::size || end - offset - RecordHeader::size < stored_size) {
    corrupt(fmt::format("offset {} with {} stored bytes does not lie in a pack of {} bytes", offset,
                        stored_size, file_size));
  }
}

std::vector<std::byte> read_table(const ByteSource& source, const PackDirectory& directory,
                                  const PackTrailer& trailer) {
  const std::uint64_t rows = trailer.chunk_count + std::uint64_t{2} * trailer.manifest_count;
  const std::uint64_t size = rows * TableEntry::size;
  const std::uint64_t offset = trailer.table_offset;
  check_inside(offset, size, directory.file_size);
  const auto header = decode_record_header(read_array<RecordHeader::size>(source, offset),
                                           place_of(directory, offset));
  if (header.kind != RecordKind::chunk_table || header.codec != Codec::raw) {
    corrupt(fmt::format("found {} with codec {}, expected a chunk table with codec raw",
                        to_string(header.kind), to_string(header.codec)));
  }
  if (header.raw_size != size) {
    corrupt(fmt::format("raw_size is {}, expected {} rows of {} bytes", header.raw_size, rows,
                        TableEntry::size));
  }
  std::vector<std::byte> raw(size);
  source.read(offset + RecordHeader::size, raw);
  if (const Digest found = digest_of(raw); found != header.raw_digest) {
    corrupt(fmt::format("raw digest is {}, expected {}", found.hex(), header.raw_digest.hex()));
  }
  return raw;
}

// Rows as the writer makes them: chunks by rising number, then each manifest's two copies.
void check_rows(const std::vector<TableEntry>& rows, const PackTrailer& trailer,
                std::uint64_t file_size) {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const TableEntry& row = rows[i];
    with_prefix(fmt::format("row {}", i), [&] {
      const bool is_chunk = i < trailer.chunk_count;
      const std::size_t manifest = is_chunk ? 0 : i - trailer.chunk_count;
      if (row.kind != (is_chunk ? RecordKind::chunk : RecordKind::manifest)) {
        corrupt(fmt::format("kind is {}", static_cast<unsigned>(row.kind)));
      }
      if (is_chunk && (row.copy != 0 || (i > 0 && row.number <= rows[i - 1].number))) {
        corrupt(fmt::format("chunk number {} copy {} is out of order", row.number, row.copy));
      }
      if (!is_chunk && (row.number != manifest / 2 || row.copy != manifest % 2)) {
        corrupt(fmt::format("manifest number {} copy {} is out of order", row.number, row.copy));
      }
      if (row.raw_size > (is_chunk ? limits::chunk_raw_size : limits::manifest_raw_size)) {
        corrupt(fmt::format("raw_size is {}, over the limit", row.raw_size));
      }
      check_inside(row.offset, row.stored_size, file_size);
    });
  }
}

}  // namespace

const TableEntry* PackDirectory::find_chunk(std::uint32_t number) const {
  const auto found = std::lower_bound(
      chunks.begin(), chunks.end(), number,
      [](const TableEntry& entry, std::uint32_t wanted) { return entry.number < wanted; });
  return found != chunks.end() && found->number == number ? &*found : nullptr;
}

PackDirectory read_directory(const ByteSource& source) {
  return with_prefix(source.name(), [&] {
    PackDirectory directory;
    directory.header = read_header(source);
    directory.file_size = source.size();
    const PackTrailer trailer = read_trailer(source, directory.header);
    directory.uses = trailer.uses;
    auto rows = with_prefix("chunk table", [&] {
      auto decoded = decode_table(read_table(source, directory, trailer));
      check_rows(decoded, trailer, directory.file_size);
      return decoded;
    });
    const auto chunks_end = rows.begin() + static_cast<std::ptrdiff_t>(trailer.chunk_count);
    directory.manifests.assign(chunks_end, rows.end());
    rows.erase(chunks_end, rows.end());
    directory.chunks = std::move(rows);
    return directory;
  });
}

}  // namespace ckp::format
