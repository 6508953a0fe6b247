// Each is minimal.ckp, or another good file, with one thing changed.
#include <algorithm>

#include "build.h"
#include "ckp/format/store_identity.h"
#include "ckp/format/wire.h"
#include "golden_files.h"

namespace ckp::golden {
namespace {

using format::RecordHeader;

Bytes good(const std::string& name) {
  for (auto& file : good_files()) {
    if (file.name == name) return file.bytes;
  }
  return {};
}

void overwrite(Bytes& file, std::uint64_t offset, std::span<const std::byte> bytes) {
  std::copy(bytes.begin(), bytes.end(), file.begin() + static_cast<std::ptrdiff_t>(offset));
}

Bytes newer_version() {
  Bytes file = good("minimal.ckp");
  auto header = format::decode_pack_header(file);
  header.versions = {3, 2};
  overwrite(file, 0, format::encode_pack_header(header));
  return file;
}

Bytes with_features(const format::Features& features) {
  Bytes file = good("minimal.ckp");
  const auto at = file.size() - format::PackTrailer::size;
  auto trailer = format::decode_pack_trailer(std::span(file).subspan(at));
  trailer.uses = features;
  overwrite(file, at, format::encode_pack_trailer(trailer));
  return file;
}

// Chunk 1 with another codec in its header and in the table, all checksums right.
Bytes with_codec(format::Codec codec) {
  Bytes file = good("minimal.ckp");
  const auto pack = format::decode_pack_header(file);
  const auto trailer = format::decode_pack_trailer(std::span(file).last(format::PackTrailer::size));
  const auto read = [&](std::uint64_t offset) {
    return format::decode_record_header(std::span(file).subspan(offset),
                                        {pack.uuid, offset, pack.generation});
  };
  const auto write = [&](std::uint64_t offset, const RecordHeader& header) {
    overwrite(file, offset,
              format::encode_record_header(header, {pack.uuid, offset, pack.generation}));
  };
  const auto table = std::span(file).subspan(trailer.table_offset + RecordHeader::size,
                                             4 * format::TableEntry::size);
  const auto row = table.subspan(format::TableEntry::size, format::TableEntry::size);
  const auto chunk_offset = format::Reader(row.subspan(16, 8), "row").u64();
  row[1] = static_cast<std::byte>(codec);
  auto table_header = read(trailer.table_offset);
  table_header.raw_digest = digest_of(table);
  table_header.stored_checksum = checksum_of(table);
  write(trailer.table_offset, table_header);
  auto header = read(chunk_offset);
  header.codec = codec;
  write(chunk_offset, header);
  return file;
}

Bytes text_mode() {
  Bytes file;
  for (const std::byte byte : good("minimal.ckp")) {
    if (byte == std::byte{'\n'}) file.push_back(std::byte{'\r'});
    file.push_back(byte);
  }
  return file;
}

// Cut within the chunk table: both chunks and the first manifest are there.
Bytes truncated() {
  Bytes file = good("minimal.ckp");
  file.resize(1200);
  return file;
}

// One bit in the middle of model/weight.
Bytes flipped_byte() {
  Bytes file = good("minimal.ckp");
  const Bytes weight = elements<std::uint32_t>({0x3f800000, 0xc0000000, 0x3f000000});
  const auto found = std::search(file.begin(), file.end(), weight.begin(), weight.end());
  *found ^= std::byte{0x01};
  return file;
}

Bytes newer_store() {
  auto store = format::decode_store_identity(good("STORE"));
  store.versions = {3, 2};
  return format::encode_store_identity(store);
}

// A kind of difference that is known to nobody yet; all checksums are right.
Bytes newer_difference() {
  Builder pack({.may_use = {0, 0, format::feature::differences}, .uuid = uuid_ending_in(0xef)});
  const auto chunk = pack.chunk(elements<std::uint32_t>({1, 2}), 4, format::Compression::none);
  const auto storage = pack.storage_of({{chunk, 0, 8}});
  pack.manifest.differences = {{storage, 0, chunk, format::DifferenceKind::elements64}};
  pack.tensor("model/weight", DType::float32, storage, {2});
  Bytes file = pack.finish();
  const auto header = format::decode_pack_header(file);
  const auto trailer = format::decode_pack_trailer(std::span(file).last(format::PackTrailer::size));
  // A record's bytes have changed: so do the digests in its header, and in the table's row.
  const auto seal = [&](std::uint64_t offset, std::uint64_t size) {
    const format::RecordPlace place{header.uuid, offset, header.generation};
    auto record = format::decode_record_header(std::span(file).subspan(offset), place);
    const auto bytes = std::span(file).subspan(offset + RecordHeader::size, size);
    record.raw_digest = digest_of(bytes);
    record.stored_checksum = checksum_of(bytes);
    overwrite(file, offset, format::encode_record_header(record, place));
    return record.raw_digest;
  };
  const auto known = format::encode_manifest(pack.manifest);
  const std::uint64_t rows = trailer.table_offset + RecordHeader::size;
  std::uint64_t row = rows;
  for (auto at = file.begin();;) {
    at = std::search(at, file.end(), known.begin(), known.end());
    if (at == file.end()) break;
    const auto offset = static_cast<std::uint64_t>(at - file.begin());
    file[offset + known.size() - 1] = std::byte{5};
    format::Writer digest;
    digest.digest(seal(offset - RecordHeader::size, known.size()));
    row += format::TableEntry::size;
    overwrite(file, row + 32, digest.buffer());
  }
  seal(trailer.table_offset, 3 * format::TableEntry::size);
  return file;
}

}  // namespace

std::vector<File> refused_files() {
  constexpr std::uint64_t unknown = std::uint64_t{1} << 40;
  return {{"newer-version.ckp", newer_version()},
          {"unknown-refuse-bit.ckp", with_features({0, 0, unknown})},
          {"unknown-read-only-bit.ckp", with_features({0, unknown, 0})},
          {"unknown-ignore-bit.ckp", with_features({unknown, 0, 0})},
          {"sparse-codec.ckp", with_codec(format::Codec::sparse)},
          {"delta-codec.ckp", with_codec(format::Codec::delta)},
          {"text-mode.ckp", text_mode()},
          {"truncated.ckp", truncated()},
          {"flipped-byte.ckp", flipped_byte()},
          {"newer-STORE", newer_store()},
          {"row-behind-patch.ckp", patched_pack(28)},
          {"newer-difference.ckp", newer_difference()}};
}

}  // namespace ckp::golden
