// Streams a pack out: header, chunks, manifests, chunk table, manifests again, trailer.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "ckp/format/limits.h"
#include "ckp/format/wire.h"
#include "pack_internal.h"

namespace ckp::format {
namespace {

[[noreturn]] void invalid(const std::string& what) {
  throw Error(ErrorCode::invalid_argument, "pack writer: " + what);
}

// Smaller manifests stay raw, for any tool to look inside: little is saved. Not many more, though:
// a manifest stands twice, and promise P17 counts every byte.
constexpr std::size_t compress_from = 1024;

// A manifest as it stands in the file, twice.
struct StoredManifest {
  RecordHeader header;
  std::vector<std::byte> stored;
};

StoredManifest store_manifest(const Manifest& manifest, std::uint32_t number) {
  auto raw = encode_manifest(manifest);
  StoredManifest result;
  result.header.kind = RecordKind::manifest;
  result.header.number = number;
  result.header.raw_size = raw.size();
  result.header.raw_digest = digest_of(raw);
  const auto compression = raw.size() < compress_from ? Compression::none : Compression::balanced;
  auto encoded = encode(raw, 1, compression);
  if (raw.size() > largest_manifest(encoded.bytes.size())) encoded = {};
  // `constant` cannot happen: a manifest starts with different bytes.
  result.header.codec = encoded.codec;
  result.stored = encoded.codec == Codec::raw ? std::move(raw) : std::move(encoded.bytes);
  result.header.stored_size = result.stored.size();
  result.header.stored_checksum = checksum_of(result.stored);
  return result;
}

// Chunks of this pack must be there, and be what the reference expects.
void check_own_reference(const ChunkReference& reference, std::span<const TableEntry> chunks) {
  const std::uint32_t number = reference.address.number;
  const auto found = std::lower_bound(
      chunks.begin(), chunks.end(), number,
      [](const TableEntry& entry, std::uint32_t wanted) { return entry.number < wanted; });
  if (found == chunks.end() || found->number != number) {
    invalid(fmt::format("a manifest refers to chunk {}, which is not in this pack", number));
  }
  if (found->raw_size != reference.raw_size || found->raw_digest != reference.raw_digest) {
    invalid(fmt::format("a manifest expects chunk {} with {} bytes and digest {}, it has {} and {}",
                        number, reference.raw_size, reference.raw_digest.hex(), found->raw_size,
                        found->raw_digest.hex()));
  }
}

// Whether a reference leaves this pack.
bool has_external(const Manifest& manifest) {
  return std::any_of(manifest.references.begin(), manifest.references.end(),
                     [](const auto& r) { return !r.address.pack.is_nil(); });
}

// In a file, nil means the manifest's own pack; its uuid spelled out means the same here.
bool names_itself(const Manifest& manifest, const Uuid& own) {
  return std::any_of(manifest.references.begin(), manifest.references.end(),
                     [&](const auto& r) { return r.address.pack == own; });
}

Manifest with_nil_for(Manifest manifest, const Uuid& own) {
  for (auto& reference : manifest.references) {
    if (reference.address.pack == own) reference.address.pack = {};
  }
  return manifest;
}

struct Layout {
  std::vector<TableEntry> rows;
  std::uint64_t table_offset = 0;
};

// Where manifests, table and manifests again will stand when the next record begins after `at`.
// The table also lists the copies behind it: it is stored raw, so that its size is known.
Layout lay_out(const std::vector<TableEntry>& chunks, const std::vector<StoredManifest>& manifests,
               std::uint64_t at, std::uint8_t alignment_log2) {
  Layout layout{.rows = chunks};
  layout.rows.resize(chunks.size() + 2 * manifests.size());
  const auto place = [&](std::uint64_t stored_size) {
    const std::uint64_t offset = next_record_offset(at, alignment_log2);
    at = offset + RecordHeader::size + stored_size;
    return offset;
  };
  for (std::uint32_t copy = 0; copy < 2; ++copy) {
    for (std::size_t i = 0; i < manifests.size(); ++i) {
      TableEntry& row = layout.rows[chunks.size() + 2 * i + copy];
      row = table_entry(manifests[i].header, place(manifests[i].stored.size()));
      row.copy = copy;
    }
    if (copy == 0) layout.table_offset = place(layout.rows.size() * TableEntry::size);
  }
  return layout;
}

}  // namespace

std::uint64_t pack_size(std::span<const std::uint32_t> stored_sizes, std::uint8_t alignment_log2) {
  std::uint64_t at = PackHeader::size;
  const auto place = [&](std::uint64_t stored_size) {
    at = next_record_offset(at, alignment_log2) + RecordHeader::size + stored_size;
  };
  for (const std::uint32_t size : stored_sizes) place(size);
  place(stored_sizes.size() * TableEntry::size);
  return next_record_offset(at, alignment_log2) + PackTrailer::size;
}

PackWriter::PackWriter(Sink sink, const PackHeader& header)
    : sink_(std::move(sink)), header_(header) {
  write(encode_pack_header(header_));
}

void PackWriter::write(std::span<const std::byte> bytes) {
  sink_(bytes);
  offset_ += bytes.size();
}

void PackWriter::pad() {
  static constexpr std::array<std::byte, 4096> zeros{};
  const std::uint64_t next = next_record_offset(offset_, header_.alignment_log2);
  if (next > offset_) write(std::span(zeros).first(next - offset_));
}

void PackWriter::add_record(RecordHeader header, std::span<const std::byte> stored) {
  pad();
  write(encode_record_header(header, {header_.uuid, offset_, header_.generation}));
  if (!stored.empty()) write(stored);
}

std::uint32_t PackWriter::add_chunk(const Digest& raw_digest, std::uint32_t raw_size, Codec codec,
                                    std::span<const std::byte> stored) {
  const std::uint32_t number = next_number_;
  add_chunk_as(number, raw_digest, raw_size, codec, stored);
  return number;
}

void PackWriter::add_chunk_as(std::uint32_t number, const Digest& raw_digest,
                              std::uint32_t raw_size, Codec codec,
                              std::span<const std::byte> stored) {
  if (finished_) invalid("a chunk after finish()");
  if (number < next_number_ || number == UINT32_MAX) {
    invalid(fmt::format("chunk number {}, expected {} or more", number, next_number_));
  }
  if (codec > Codec::planes) {
    invalid(fmt::format("chunk {}: codec {} is reserved", number, to_string(codec)));
  }
  const bool fits = codec == Codec::raw        ? stored.size() == raw_size
                    : codec == Codec::constant ? stored.size() == 1 && raw_size >= 1
                                               : stored.size() <= raw_size;
  if (!fits || raw_size > limits::chunk_raw_size) {
    invalid(fmt::format("chunk {}: {} stored bytes for {} raw bytes, codec {}", number,
                        stored.size(), raw_size, to_string(codec)));
  }
  RecordHeader header;
  header.codec = codec;
  header.number = number;
  header.raw_size = raw_size;
  header.stored_size = stored.size();
  header.raw_digest = raw_digest;
  header.stored_checksum = checksum_of(stored);
  add_record(header, stored);
  entries_.push_back(table_entry(header, offset_ - stored.size() - RecordHeader::size));
  next_number_ = number + 1;
}

void PackWriter::finish(std::span<const Manifest> manifests) {
  if (finished_) invalid("finish() was called before");
  PackTrailer trailer;
  std::vector<StoredManifest> stored;
  for (const Manifest& given : manifests) {
    const bool rewrite = names_itself(given, header_.uuid);
    const Manifest changed = rewrite ? with_nil_for(given, header_.uuid) : Manifest{};
    const Manifest& manifest = rewrite ? changed : given;
    for (const auto& reference : manifest.references) {
      if (reference.address.pack.is_nil()) check_own_reference(reference, entries_);
    }
    if (has_external(manifest)) trailer.uses.refuse |= feature::external_references;
    if (!manifest.patches.empty()) trailer.uses.refuse |= feature::patches;
    if (!manifest.derived.empty()) trailer.uses.refuse |= feature::derived;
    if (!manifest.differences.empty()) trailer.uses.refuse |= feature::differences;
    stored.push_back(store_manifest(manifest, static_cast<std::uint32_t>(stored.size())));
  }
  if ((trailer.uses.refuse & ~header_.may_use.refuse) != 0) {
    invalid(
        "a manifest has patches, differences or derived pieces, or refers to other packs, and the "
        "header does not say so");
  }
  finished_ = true;

  const Layout layout = lay_out(entries_, stored, offset_, header_.alignment_log2);
  const auto write_manifests = [&](std::uint32_t copy) {
    for (auto& manifest : stored) {
      manifest.header.copy = copy;
      add_record(manifest.header, manifest.stored);
    }
  };
  write_manifests(0);
  const auto table = encode_table(layout.rows);
  RecordHeader table_header;
  table_header.kind = RecordKind::chunk_table;
  table_header.raw_size = table_header.stored_size = table.size();
  table_header.raw_digest = digest_of(table);
  table_header.stored_checksum = checksum_of(table);
  add_record(table_header, table);
  write_manifests(1);

  pad();
  trailer.versions = header_.versions;
  trailer.table_offset = layout.table_offset;
  trailer.uuid = header_.uuid;
  trailer.generation = header_.generation;
  trailer.chunk_count = static_cast<std::uint32_t>(entries_.size());
  trailer.manifest_count = static_cast<std::uint32_t>(manifests.size());
  trailer.file_size = offset_ + PackTrailer::size;
  write(encode_pack_trailer(trailer));
}

}  // namespace ckp::format
