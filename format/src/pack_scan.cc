// Finds the records of a damaged pack by looking for their headers.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <tuple>

#include "ckp/format/wire.h"
#include "pack_internal.h"

namespace ckp::format {
namespace {

constexpr std::size_t window_size = 1u << 20;
constexpr std::size_t sector_size = 4096;

// One scan over a source.
class Scan {
 public:
  Scan(const ByteSource& source, PackDirectory& directory)
      : source_(source),
        directory_(directory),
        window_(std::min<std::uint64_t>(window_size, directory.file_size)) {}

  void run() {
    std::uint64_t offset = PackHeader::size;
    while (offset + RecordHeader::size <= directory_.file_size) {
      const auto end = starts_here(offset) ? try_record(offset) : std::nullopt;
      offset = end ? align_up(*end, record_alignment) : offset + record_alignment;
    }
  }

 private:
  // Reads what can be read; what cannot is zero and named.
  void fill(std::uint64_t offset, std::span<std::byte> out) {
    try {
      source_.read(offset, out);
      return;
    } catch (const Error&) {
      // Once more in small pieces, to lose no more than the bad one.
    }
    for (std::size_t at = 0; at < out.size(); at += sector_size) {
      const auto piece = out.subspan(at, std::min(sector_size, out.size() - at));
      try {
        source_.read(offset + at, piece);
      } catch (const Error& error) {
        std::fill(piece.begin(), piece.end(), std::byte{0});
        directory_.damage.push_back(
            fmt::format("{} bytes at offset {}: {}", piece.size(), offset + at, error.what()));
      }
    }
  }

  bool starts_here(std::uint64_t offset) {
    if (offset < window_offset_ || offset - window_offset_ >= window_length_) {
      window_offset_ = offset;
      window_length_ = std::min<std::uint64_t>(window_size, directory_.file_size - offset);
      fill(offset, std::span(window_).first(window_length_));
    }
    const std::size_t at = offset - window_offset_;
    return has_record_magic(std::span<const std::byte>(window_).subspan(at, window_length_ - at));
  }

  // The end of the record that starts at `offset`, when there is an undamaged one.
  std::optional<std::uint64_t> try_record(std::uint64_t offset) {
    const auto header = try_header(offset);
    if (!header) return std::nullopt;
    const std::uint64_t begin = offset + RecordHeader::size;
    const auto name = describe(header->kind, header->number, header->copy, offset);
    if (directory_.file_size - begin < header->stored_size) {
      directory_.damage.push_back(fmt::format("{}: {} stored bytes, but the file ends at {}", name,
                                              header->stored_size, directory_.file_size));
      return std::nullopt;
    }
    if (!has_checksum(begin, *header)) {
      directory_.damage.push_back(fmt::format(
          "{}: its stored bytes do not have the checksum {:016x}", name, header->stored_checksum));
      return std::nullopt;
    }
    add(*header, offset);
    return begin + header->stored_size;
  }

  std::optional<RecordHeader> try_header(std::uint64_t offset) {
    std::array<std::byte, RecordHeader::size> bytes{};
    fill(offset, bytes);
    try {
      return decode_record_header(bytes,
                                  {directory_.header.uuid, offset, directory_.header.generation});
    } catch (const Error& error) {
      // A wrong checksum is no damage by itself: a tensor may hold another pack.
      if (error.code() == ErrorCode::newer_format) directory_.damage.emplace_back(error.what());
      return std::nullopt;
    }
  }

  bool has_checksum(std::uint64_t begin, const RecordHeader& header) {
    DigestStream stream;
    std::vector<std::byte> piece(std::min<std::uint64_t>(window_size, header.stored_size));
    for (std::uint64_t at = 0; at < header.stored_size; at += piece.size()) {
      const auto now =
          std::span(piece).first(std::min<std::uint64_t>(piece.size(), header.stored_size - at));
      fill(begin + at, now);
      stream.update(now);
    }
    return stream.checksum() == header.stored_checksum;
  }

  void add(const RecordHeader& header, std::uint64_t offset) {
    if (header.kind == RecordKind::chunk_table) return;
    const TableEntry entry = table_entry(header, offset);
    if (!seen_.emplace(entry.kind, entry.number, entry.copy).second) {
      directory_.damage.push_back(describe(entry) + ": the same number was found before");
      return;
    }
    (entry.kind == RecordKind::chunk ? directory_.chunks : directory_.manifests).push_back(entry);
  }

  const ByteSource& source_;
  PackDirectory& directory_;
  std::vector<std::byte> window_;
  std::uint64_t window_offset_ = 0;
  std::uint64_t window_length_ = 0;
  std::set<std::tuple<RecordKind, std::uint32_t, std::uint32_t>> seen_;
};

template <class Decode>
auto try_decode(const ByteSource& source, std::uint64_t offset, Decode decode,
                std::vector<std::string>& reasons) {
  std::array<std::byte, PackHeader::size> bytes{};
  static_assert(PackHeader::size == PackTrailer::size);
  std::optional<decltype(decode(std::span<const std::byte>(bytes)))> result;
  try {
    const auto size = std::min<std::uint64_t>(source.size() - offset, bytes.size());
    if (size > 0) source.read(offset, std::span(bytes).first(size));
    result = decode(std::span<const std::byte>(bytes).first(size));
  } catch (const Error& error) {
    if (error.code() == ErrorCode::newer_format) throw;
    reasons.emplace_back(error.what());
  }
  return result;
}

// Who the pack is: from its header, or else from its trailer.
void identify(const ByteSource& source, PackDirectory& directory) {
  const std::uint64_t end = source.size();
  std::vector<std::string> reasons;
  const auto header = try_decode(source, 0, decode_pack_header, reasons);
  const auto trailer = try_decode(source, end - std::min<std::uint64_t>(end, PackTrailer::size),
                                  decode_pack_trailer, reasons);
  const bool whole = trailer && trailer->file_size == end;
  if (header) {
    directory.header = *header;
    const bool same = whole && trailer->uuid == header->uuid;
    directory.uses = same ? trailer->uses : header->may_use;
  } else if (whole) {
    directory.header.versions = trailer->versions;
    directory.header.uuid = trailer->uuid;
    directory.header.generation = trailer->generation;
    directory.header.may_use = directory.uses = trailer->uses;
  } else {
    throw Error(ErrorCode::corrupt,
                fmt::format("neither header nor trailer is readable, so that its records cannot be "
                            "told from others': {}",
                            fmt::join(reasons, "; ")));
  }
  check_readable(directory.header.versions, directory.uses, "pack");
}

// What the table lists, when it can be read, and the scan did not find.
void name_missing(const ByteSource& source, PackDirectory& directory) {
  std::set<std::uint64_t> found;
  for (const TableEntry& entry : directory.chunks) found.insert(entry.offset);
  for (const TableEntry& entry : directory.manifests) found.insert(entry.offset);
  const auto compare = [&](const std::vector<TableEntry>& listed) {
    for (const TableEntry& entry : listed) {
      if (found.contains(entry.offset)) continue;
      directory.damage.push_back(describe(entry) + ": in the table, but not readable");
    }
  };
  try {
    const PackDirectory table = read_directory(source);
    compare(table.chunks);
    compare(table.manifests);
  } catch (const Error& error) {
    directory.damage.emplace_back(error.what());
  }
}

}  // namespace

PackDirectory scan_directory(const ByteSource& source) {
  PackDirectory directory;
  directory.scanned = true;
  directory.file_size = source.size();
  with_prefix(source.name(), [&] { identify(source, directory); });
  Scan(source, directory).run();
  const auto order = [](const TableEntry& a, const TableEntry& b) {
    return std::tie(a.number, a.copy) < std::tie(b.number, b.copy);
  };
  std::sort(directory.chunks.begin(), directory.chunks.end(), order);
  std::sort(directory.manifests.begin(), directory.manifests.end(), order);
  name_missing(source, directory);
  return directory;
}

}  // namespace ckp::format
