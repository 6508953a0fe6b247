// Reads single records of a pack: chunks and manifests.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "pack_internal.h"

namespace ckp::format {
namespace {

template <class T>
void expect_same(std::string_view field, const T& found, const T& expected) {
  if (found != expected) {
    corrupt(fmt::format("{} is {}, the chunk table says {}", field, found, expected));
  }
}

void check_agreement(const RecordHeader& header, const TableEntry& entry) {
  expect_same("kind", to_string(header.kind), to_string(entry.kind));
  expect_same("number", header.number, entry.number);
  expect_same("copy", header.copy, entry.copy);
  expect_same("codec", to_string(header.codec), to_string(entry.codec));
  expect_same("raw_size", header.raw_size, std::uint64_t{entry.raw_size});
  expect_same("stored_size", header.stored_size, std::uint64_t{entry.stored_size});
  expect_same("raw digest", header.raw_digest.hex(), entry.raw_digest.hex());
}

RecordHeader decode_checked(std::span<const std::byte> bytes, const PackDirectory& directory,
                            const TableEntry& entry) {
  const auto header = decode_record_header(
      bytes, {directory.header.uuid, entry.offset, directory.header.generation});
  check_agreement(header, entry);
  return header;
}

RecordHeader read_checked_header(const ByteSource& source, const PackDirectory& directory,
                                 const TableEntry& entry) {
  std::array<std::byte, RecordHeader::size> bytes{};
  source.read(entry.offset, bytes);
  return decode_checked(bytes, directory, entry);
}

void check_stored(std::span<const std::byte> stored, const RecordHeader& header) {
  if (const auto found = checksum_of(stored); found != header.stored_checksum) {
    corrupt(
        fmt::format("stored checksum is {:016x}, expected {:016x}", found, header.stored_checksum));
  }
}

std::vector<std::byte> read_stored(const ByteSource& source, const TableEntry& entry,
                                   const RecordHeader& header) {
  const std::uint64_t begin = entry.offset + RecordHeader::size;
  if (begin > source.size() || source.size() - begin < header.stored_size) {
    corrupt(fmt::format("{} stored bytes do not lie in a file of {} bytes", header.stored_size,
                        source.size()));
  }
  std::vector<std::byte> stored(header.stored_size);
  source.read(begin, stored);
  check_stored(stored, header);
  return stored;
}

void check_digest(std::span<const std::byte> raw, const Digest& expected) {
  if (const Digest found = digest_of(raw); found != expected) {
    corrupt(fmt::format("raw digest is {}, expected {}", found.hex(), expected.hex()));
  }
}

std::string where(const ByteSource& source, const TableEntry& entry) {
  return source.name() + ": " + describe(entry);
}

std::vector<std::byte> read_manifest_bytes(const ByteSource& source, const PackDirectory& directory,
                                           const TableEntry& entry) {
  return with_prefix(where(source, entry), [&] {
    const auto header = read_checked_header(source, directory, entry);
    const auto stored = read_stored(source, entry, header);
    if (header.raw_size > largest_manifest(stored.size())) {
      corrupt(fmt::format("raw_size is {}, too much for {} stored bytes", header.raw_size,
                          stored.size()));
    }
    std::vector<std::byte> raw(header.raw_size);
    decode(header.codec, stored, raw);
    check_digest(raw, header.raw_digest);
    return raw;
  });
}

// References to the manifest's own pack must be answered by the table. After a scan chunks may be
// absent: then reading the tensor reports it.
void check_own_references(const Manifest& manifest, const PackDirectory& directory) {
  for (std::size_t i = 0; i < manifest.references.size(); ++i) {
    const ChunkReference& reference = manifest.references[i];
    if (!reference.address.pack.is_nil()) continue;
    const TableEntry* entry = directory.find_chunk(reference.address.number);
    if (entry == nullptr && directory.scanned) continue;
    if (entry == nullptr) {
      corrupt(fmt::format("manifest, section references, entry {}: chunk {} is not in this pack", i,
                          reference.address.number));
    }
    if (entry->raw_size != reference.raw_size || entry->raw_digest != reference.raw_digest) {
      corrupt(
          fmt::format("manifest, section references, entry {}: chunk {} has {} bytes and digest "
                      "{}, expected {} and {}",
                      i, reference.address.number, entry->raw_size, entry->raw_digest.hex(),
                      reference.raw_size, reference.raw_digest.hex()));
    }
  }
}

// The raw bytes of the first readable copy; what is wrong with others goes to `damage`.
std::vector<std::byte> read_any_copy(const ByteSource& source, const PackDirectory& directory,
                                     std::uint32_t number, bool check_all,
                                     std::vector<std::string>& damage) {
  std::vector<std::byte> raw;
  bool found = false;
  for (const TableEntry& entry : directory.manifests) {
    if (entry.number != number || (found && !check_all)) continue;
    try {
      auto bytes = read_manifest_bytes(source, directory, entry);
      if (found && bytes != raw) {
        corrupt(fmt::format("{}: the copies of manifest {} differ", source.name(), number));
      }
      raw = std::move(bytes);
      found = true;
    } catch (const Error& error) {
      if (error.code() == ErrorCode::newer_format) throw;
      damage.emplace_back(error.what());
    }
  }
  if (found) return raw;
  std::string reasons;
  for (const auto& reason : damage) reasons += "; " + reason;
  corrupt(fmt::format("{}: no readable copy of manifest {}{}", source.name(), number, reasons));
}

}  // namespace

Record read_record(const ByteSource& source, const PackDirectory& directory,
                   const TableEntry& entry) {
  return with_prefix(where(source, entry), [&] {
    Record record;
    record.header = read_checked_header(source, directory, entry);
    record.stored = read_stored(source, entry, record.header);
    return record;
  });
}

RecordHeader read_record_header(const ByteSource& source, const PackDirectory& directory,
                                const TableEntry& entry) {
  return with_prefix(where(source, entry),
                     [&] { return read_checked_header(source, directory, entry); });
}

RecordHeader check_record(std::span<const std::byte> bytes, const ByteSource& source,
                          const PackDirectory& directory, const TableEntry& entry) {
  return with_prefix(where(source, entry), [&] {
    const auto header = decode_checked(bytes.first(RecordHeader::size), directory, entry);
    check_stored(bytes.subspan(RecordHeader::size, header.stored_size), header);
    return header;
  });
}

void read_chunk(const ByteSource& source, const PackDirectory& directory, const TableEntry& entry,
                std::span<std::byte> out) {
  if (out.size() != entry.raw_size) {
    throw Error(ErrorCode::invalid_argument,
                fmt::format("{}: has {} bytes, asked for {}", where(source, entry), entry.raw_size,
                            out.size()));
  }
  with_prefix(where(source, entry), [&] {
    const auto header = read_checked_header(source, directory, entry);
    if (header.codec == Codec::raw) {
      if (!out.empty()) source.read(entry.offset + RecordHeader::size, out);
    } else {
      decode(header.codec, read_stored(source, entry, header), out);
    }
    check_digest(out, header.raw_digest);
  });
}

Manifest read_manifest(const ByteSource& source, const PackDirectory& directory,
                       std::uint32_t number, std::vector<std::string>* damage) {
  const bool known = std::any_of(directory.manifests.begin(), directory.manifests.end(),
                                 [&](const TableEntry& entry) { return entry.number == number; });
  if (!known && !directory.scanned) {
    throw Error(ErrorCode::not_found, fmt::format("{}: has no manifest {}", source.name(), number));
  }
  std::vector<std::string> found;
  const auto raw = read_any_copy(source, directory, number, damage != nullptr, found);
  auto manifest = with_prefix(fmt::format("{}: manifest {}", source.name(), number), [&] {
    auto decoded = decode_manifest(raw);
    check_own_references(decoded, directory);
    return decoded;
  });
  if (damage != nullptr) damage->insert(damage->end(), found.begin(), found.end());
  return manifest;
}

}  // namespace ckp::format
