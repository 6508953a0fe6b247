// A pack: one .ckp file. Header, chunk records, manifest, chunk table, manifest again, trailer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "ckp/digest.h"
#include "ckp/format/features.h"
#include "ckp/format/manifest.h"
#include "ckp/format/record.h"
#include "ckp/uuid.h"

namespace ckp::format {

// The first 128 bytes of a pack.
struct PackHeader {
  static constexpr std::size_t size = 128;
  Versions versions{};
  Features may_use{};               // features that may occur; the trailer says which do
  std::uint8_t alignment_log2 = 6;  // payloads start at multiples of 2^this; 6 to 12
  Uuid uuid{};
  std::uint32_t generation = 0;  // how often the pack was rewritten
};
std::vector<std::byte> encode_pack_header(const PackHeader& header);
// Throws Error(corrupt), with a hint where line endings were converted or this is another kind of
// file (zip/.pt, safetensors), or Error(newer_format).
PackHeader decode_pack_header(std::span<const std::byte> bytes);

// One row of the chunk table. Rows stand in (kind, number, copy) order.
struct TableEntry {
  static constexpr std::size_t size = 48;
  RecordKind kind = RecordKind::chunk;  // chunk or manifest
  Codec codec = Codec::raw;
  std::uint8_t base_depth = 0;
  std::uint32_t number = 0;
  std::uint32_t copy = 0;
  std::uint64_t offset = 0;  // of the record header
  std::uint32_t raw_size = 0;
  std::uint32_t stored_size = 0;
  Digest raw_digest{};
  friend bool operator==(const TableEntry&, const TableEntry&) = default;
};

// The last 128 bytes of a pack.
struct PackTrailer {
  static constexpr std::size_t size = 128;
  Versions versions{};
  Features uses{};
  Uuid uuid{};
  std::uint32_t generation = 0;
  std::uint32_t chunk_count = 0;
  std::uint32_t manifest_count = 0;
  std::uint64_t table_offset = 0;  // of the table's record header
  std::uint64_t file_size = 0;
};
std::vector<std::byte> encode_pack_trailer(const PackTrailer& trailer);
PackTrailer decode_pack_trailer(std::span<const std::byte> bytes);

// Streams a pack out, front to back, never seeking. Not thread-safe.
class PackWriter {
 public:
  // Receives the file's bytes in order.
  using Sink = std::function<void(std::span<const std::byte>)>;

  // Writes the header at once.
  PackWriter(Sink sink, const PackHeader& header);

  // Appends one chunk and returns its number: 0, 1, 2, ... `stored` is the encoded form.
  std::uint32_t add_chunk(const Digest& raw_digest, std::uint32_t raw_size, Codec codec,
                          std::span<const std::byte> stored);
  // The same under a number of its own, for rewriting a pack. Numbers must rise.
  void add_chunk_as(std::uint32_t number, const Digest& raw_digest, std::uint32_t raw_size,
                    Codec codec, std::span<const std::byte> stored);
  // Writes the manifests (each twice, around the chunk table), the table and the trailer.
  // References with a nil pack mean this pack. Nothing may be added afterwards.
  void finish(std::span<const Manifest> manifests);

  // Bytes given to the sink so far.
  std::uint64_t size() const { return offset_; }
  const std::vector<TableEntry>& chunks() const { return entries_; }

 private:
  void write(std::span<const std::byte> bytes);
  void pad();
  void add_record(RecordHeader header, std::span<const std::byte> stored);

  Sink sink_;
  PackHeader header_;
  std::uint64_t offset_ = 0;
  std::uint32_t next_number_ = 0;
  bool finished_ = false;
  std::vector<TableEntry> entries_;
};

// The size of a pack that has chunks of these stored sizes, in this order, and no manifest.
std::uint64_t pack_size(std::span<const std::uint32_t> stored_sizes, std::uint8_t alignment_log2);

// Random access to a file's bytes: a file, a mapping, a buffer in a test.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  virtual std::uint64_t size() const = 0;
  // Fills `out` or throws; asking beyond the end throws Error(corrupt). Safe from many threads.
  virtual void read(std::uint64_t offset, std::span<std::byte> out) const = 0;
  // How messages name it: a path.
  virtual std::string name() const = 0;
};

// What a pack holds and where.
struct PackDirectory {
  PackHeader header;
  Features uses;
  std::uint64_t file_size = 0;
  std::vector<TableEntry> chunks;     // by number
  std::vector<TableEntry> manifests;  // by (number, copy)
  // True when the trailer or table was unreadable and records were found by scanning; then
  // `damage` says what was wrong, and chunks that could not be found are simply absent.
  bool scanned = false;
  std::vector<std::string> damage;

  const TableEntry* find_chunk(std::uint32_t number) const;
};

// Reads header, trailer and chunk table. Throws Error(corrupt) naming the field,
// Error(newer_format).
PackDirectory read_directory(const ByteSource& source);
// Finds records by scanning forward for record headers; needs only a readable pack header, and
// not even that when `uuid` and `generation` are given by the caller. Never reads a length before
// its header's checksum is right; a damaged record loses itself and nothing else.
PackDirectory scan_directory(const ByteSource& source);

// Reads one record's stored bytes: header checksum, agreement with `entry`, then stored checksum.
// Throws Error(corrupt) that names the source, kind, number, offset and what differs.
struct Record {
  RecordHeader header;
  std::vector<std::byte> stored;
};
Record read_record(const ByteSource& source, const PackDirectory& directory,
                   const TableEntry& entry);
// The header alone: its checksum, and agreement with `entry`.
RecordHeader read_record_header(const ByteSource& source, const PackDirectory& directory,
                                const TableEntry& entry);
// Like read_record for a record whose header and stored bytes are in memory already: `bytes` begins
// with them. The stored bytes are not copied.
RecordHeader check_record(std::span<const std::byte> bytes, const ByteSource& source,
                          const PackDirectory& directory, const TableEntry& entry);
// Like read_record, decoded into `out` (exactly entry.raw_size bytes) and checked against the raw digest.
void read_chunk(const ByteSource& source, const PackDirectory& directory, const TableEntry& entry,
                std::span<std::byte> out);

// Manifest `number` from its first undamaged copy. With `damage` given, what is wrong with the
// other copy is appended there. Throws Error(corrupt) when no copy is readable.
Manifest read_manifest(const ByteSource& source, const PackDirectory& directory,
                       std::uint32_t number = 0, std::vector<std::string>* damage = nullptr);

}  // namespace ckp::format
