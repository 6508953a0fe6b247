// Trailers and tables whose checksums are right and whose contents are not: no length, offset or
// number is believed.
#include <gtest/gtest.h>

#include "ckp/format/limits.h"
#include "pack_support.h"

namespace ckp::format {
namespace {

using test::Bytes;
using test::bytes_of;
using test::error_of;
using test::MemorySource;
using test::uuid_of;

// Offsets in a row of the table: spec/format.md, "Chunk table".
constexpr std::size_t kind_at = 0, number_at = 4, copy_at = 8, offset_at = 16, raw_size_at = 24,
                      stored_size_at = 28, digest_at = 32;

// A pack of three chunks and one manifest: rows 0 to 2, and 3 and 4.
class Crafted {
 public:
  Crafted() {
    std::mt19937_64 random(3);
    test::PackBuilder builder({.uuid = uuid_of(0x11)});
    for (const char* name : {"a", "b", "c"}) builder.add(name, test::random_bytes(random, 100));
    file_ = builder.finish();
    trailer_ = decode_pack_trailer(std::span(file_).last(PackTrailer::size));
    table_offset_ = trailer_.table_offset;
    table_ = header_at(trailer_.table_offset);
  }

  std::uint64_t size() const { return file_.size(); }
  PackTrailer& trailer() { return trailer_; }
  RecordHeader& table() { return table_; }
  RecordHeader header_at(std::uint64_t offset) const {
    return decode_record_header(std::span(file_).subspan(offset), place(offset));
  }
  std::uint64_t chunk_offset(std::size_t row) const {
    return Reader(rows().subspan(row * TableEntry::size + offset_at, 8), "row").u64();
  }
  void put_header(std::uint64_t offset, const RecordHeader& header) {
    const auto bytes = encode_record_header(header, place(offset));
    std::copy(bytes.begin(), bytes.end(), file_.begin() + static_cast<std::ptrdiff_t>(offset));
  }
  template <class Unsigned>
  void put(std::size_t row, std::size_t field, Unsigned value) {
    for (std::size_t i = 0; i < sizeof(Unsigned); ++i) {
      file_[rows_at() + row * TableEntry::size + field + i] =
          static_cast<std::byte>(value >> (8 * i) & 0xff);
    }
    table_.raw_digest = digest_of(rows());
    table_.stored_checksum = checksum_of(rows());
  }

  // With all checksums made anew.
  Bytes sealed() {
    Bytes file = file_;
    const auto header = encode_record_header(table_, place(table_offset_));
    std::copy(header.begin(), header.end(),
              file.begin() + static_cast<std::ptrdiff_t>(table_offset_));
    const auto trailer = encode_pack_trailer(trailer_);
    std::copy(trailer.begin(), trailer.end(), file.end() - PackTrailer::size);
    return file;
  }
  std::string message() {
    return error_of(ErrorCode::corrupt, [&] { read_directory(MemorySource(sealed())); });
  }

 private:
  static RecordPlace place(std::uint64_t offset) { return {uuid_of(0x11), offset, 0}; }
  std::size_t rows_at() const { return table_offset_ + RecordHeader::size; }
  std::span<const std::byte> rows() const {
    return std::span<const std::byte>(file_).subspan(rows_at(), 5 * TableEntry::size);
  }

  Bytes file_;
  PackTrailer trailer_;
  RecordHeader table_;
  std::uint64_t table_offset_ = 0;
};

template <class Unsigned>
std::string row_message(std::size_t row, std::size_t field, Unsigned value) {
  Crafted pack;
  pack.put(row, field, value);
  return pack.message();
}

TEST(PackTable, UnchangedItIsRead) {
  EXPECT_EQ(read_directory(MemorySource(Crafted().sealed())).chunks.size(), 3u);
}

TEST(PackTable, RowsOutOfOrderAreNamed) {
  EXPECT_CONTAINS(row_message(0, kind_at, std::uint8_t{2}), "chunk table: row 0: kind is 2");
  EXPECT_CONTAINS(row_message(3, kind_at, std::uint8_t{1}), "row 3: kind is 1");
  EXPECT_CONTAINS(row_message(0, copy_at, 1u), "row 0: chunk number 0 copy 1 is out of order");
  EXPECT_CONTAINS(row_message(1, number_at, 0u), "row 1: chunk number 0 copy 0 is out of order");
  EXPECT_CONTAINS(row_message(3, number_at, 1u), "row 3: manifest number 1 copy 0 is out of order");
  EXPECT_CONTAINS(row_message(4, copy_at, 0u), "row 4: manifest number 0 copy 0 is out of order");
  EXPECT_CONTAINS(row_message(2, kind_at + 3, std::uint8_t{1}), "reserved byte");
}

TEST(PackTable, SizesOverTheLimitAreNotBelieved) {
  EXPECT_CONTAINS(row_message(0, raw_size_at, limits::chunk_raw_size + 1),
                  "row 0: raw_size is 67108865, over the limit");
  EXPECT_CONTAINS(row_message(3, raw_size_at, UINT32_MAX),
                  "row 3: raw_size is 4294967295, over the limit");
}

TEST(PackTable, RecordsThatDoNotLieInTheFileAreNotBelieved) {
  const std::uint64_t end = Crafted().size() - PackTrailer::size;
  const std::uint64_t first = Crafted().chunk_offset(0);
  for (const std::uint64_t offset :
       {std::uint64_t{0}, first + 1, align_up(end, 64) - 64, align_up(end, 64) + 64,
        std::uint64_t{1} << 40, UINT64_MAX - 63}) {
    EXPECT_CONTAINS(row_message(0, offset_at, offset),
                    "row 0: offset " + std::to_string(offset) + " with");
  }
  const auto room = static_cast<std::uint32_t>(end - first - RecordHeader::size);
  for (const std::uint32_t stored_size : {room + 1, UINT32_MAX}) {
    EXPECT_CONTAINS(row_message(0, stored_size_at, stored_size),
                    std::to_string(stored_size) + " stored bytes does not lie in a pack of");
  }
}

// The largest that fits passes here; then the record's own header disagrees.
TEST(PackTable, TheRecordsOwnHeaderMustAgree) {
  Crafted pack;
  const std::uint64_t end = pack.size() - PackTrailer::size;
  const std::uint64_t room = end - pack.chunk_offset(0) - RecordHeader::size;
  pack.put(0, stored_size_at, static_cast<std::uint32_t>(room));
  const MemorySource source(pack.sealed());
  const PackDirectory directory = read_directory(source);
  EXPECT_CONTAINS(
      error_of(ErrorCode::corrupt, [&] { read_record(source, directory, directory.chunks[0]); }),
      "stored_size is 100, the chunk table says " + std::to_string(room));
}

TEST(PackTable, TheTrailersCountsAndOffsetAreNotBelieved) {
  const auto with = [](auto change) {
    Crafted pack;
    change(pack.trailer());
    return pack.message();
  };
  EXPECT_CONTAINS(with([](PackTrailer& t) { t.chunk_count += 1; }), "raw_size is 240, expected 6");
  EXPECT_CONTAINS(with([](PackTrailer& t) { t.manifest_count = 0; }), "expected 3 rows");
  EXPECT_CONTAINS(with([](PackTrailer& t) { t.chunk_count = UINT32_MAX; }), "does not lie in");
  EXPECT_CONTAINS(with([](PackTrailer& t) { t.manifest_count = UINT32_MAX; }), "does not lie in");
  EXPECT_CONTAINS(with([](PackTrailer& t) { t.table_offset = 0; }), "does not lie in");
  EXPECT_CONTAINS(with([](PackTrailer& t) { t.table_offset = std::uint64_t{1} << 40; }),
                  "does not lie in");
  EXPECT_CONTAINS(with([](PackTrailer& t) { t.table_offset -= 64; }), "magic not found");
  EXPECT_CONTAINS(with([](PackTrailer& t) { t.file_size += 1; }), "file_size is");
  EXPECT_CONTAINS(with([](PackTrailer& t) { t.generation = 1; }), "belongs to pack");
}

TEST(PackTable, AnotherRecordIsNoTable) {
  Crafted pack;
  pack.trailer().table_offset = pack.chunk_offset(0);
  EXPECT_CONTAINS(pack.message(), "found chunk with codec raw, expected a chunk table");
  Crafted packed;
  packed.table().codec = Codec::planes;
  EXPECT_CONTAINS(packed.message(), "found chunk table with codec planes");
  Crafted other;
  other.table().raw_digest.low ^= 1;
  EXPECT_CONTAINS(other.message(), "chunk table: raw digest is");
}

// What the manifest says of the pack's own chunks, the table must say, too.
TEST(PackTable, ItMustAnswerTheManifest) {
  const auto message = [](Crafted& pack) {
    const MemorySource source(pack.sealed());
    const PackDirectory directory = read_directory(source);
    return error_of(ErrorCode::corrupt, [&] { read_manifest(source, directory, 0); });
  };
  Crafted renumbered;
  renumbered.put(2, number_at, 7u);
  EXPECT_CONTAINS(message(renumbered), "entry 2: chunk 2 is not in this pack");
  Crafted resized;
  resized.put(1, raw_size_at, 99u);
  EXPECT_CONTAINS(message(resized), "entry 1: chunk 1 has 99 bytes");
  Crafted exchanged;
  exchanged.put(0, digest_at, std::uint64_t{1});
  EXPECT_CONTAINS(message(exchanged), "entry 0: chunk 0 has 100 bytes and digest");
}

TEST(PackTable, AScanTakesANumberOnce) {
  Crafted pack;
  RecordHeader second = pack.header_at(pack.chunk_offset(1));
  second.number = 0;
  pack.put_header(pack.chunk_offset(1), second);
  const PackDirectory scanned = scan_directory(MemorySource(pack.sealed()));
  ASSERT_EQ(scanned.chunks.size(), 2u);
  EXPECT_EQ(scanned.chunks[0].offset, pack.chunk_offset(0));
  ASSERT_FALSE(scanned.damage.empty());
  EXPECT_CONTAINS(scanned.damage.front(), "the same number was found before");
}

}  // namespace
}  // namespace ckp::format
