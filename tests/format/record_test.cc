#include "ckp/format/record.h"

#include <gtest/gtest.h>

#include "ckp/format/limits.h"
#include "pack_support.h"

namespace ckp::format {
namespace {

using test::error_of;
using test::uuid_of;

const RecordPlace place{uuid_of(7), 4096, 2};

RecordHeader sample_record_header() {
  RecordHeader header;
  header.codec = Codec::planes;
  header.number = 17;
  header.raw_size = 1 << 20;
  header.stored_size = 900000;
  header.raw_digest = {0x1122334455667788, 0x99aabbccddeeff00};
  header.stored_checksum = 0xdeadbeefcafef00d;
  return header;
}

// Encoding does not judge, so that every bad header can be made here.
std::string message_of(const RecordHeader& header, ErrorCode code = ErrorCode::corrupt) {
  return error_of(code, [&] { decode_record_header(encode_record_header(header, place), place); });
}

TEST(RecordHeader, RoundTripsEveryField) {
  const auto header = sample_record_header();
  const auto bytes = encode_record_header(header, place);
  EXPECT_TRUE(has_record_magic(bytes));
  const auto decoded = decode_record_header(bytes, place);
  EXPECT_EQ(decoded.kind, RecordKind::chunk);
  EXPECT_EQ(decoded.codec, header.codec);
  EXPECT_EQ(decoded.number, header.number);
  EXPECT_EQ(decoded.copy, 0u);
  EXPECT_EQ(decoded.raw_size, header.raw_size);
  EXPECT_EQ(decoded.stored_size, header.stored_size);
  EXPECT_EQ(decoded.raw_digest, header.raw_digest);
  EXPECT_EQ(decoded.stored_checksum, header.stored_checksum);
  EXPECT_TRUE(decoded.base.pack.is_nil());
}

TEST(RecordHeader, FieldsStandWhereTheSpecificationSays) {
  const auto bytes = encode_record_header(sample_record_header(), place);
  const auto u8 = [&](std::size_t at) { return std::to_integer<int>(bytes[at]); };
  EXPECT_EQ(u8(0), 0x89);
  EXPECT_EQ(u8(3), 'R');
  EXPECT_EQ(u8(8), 1);    // kind
  EXPECT_EQ(u8(9), 2);    // codec
  EXPECT_EQ(u8(12), 17);  // number
  EXPECT_EQ(Reader(std::span(bytes).subspan(24, 8), "raw_size").u64(), 1u << 20);
  EXPECT_EQ(Reader(std::span(bytes).subspan(32, 8), "stored_size").u64(), 900000u);
  EXPECT_EQ(Reader(std::span(bytes).subspan(40, 16), "raw_digest").digest(),
            sample_record_header().raw_digest);
  EXPECT_EQ(Reader(std::span(bytes).subspan(56, 8), "stored_checksum").u64(),
            0xdeadbeefcafef00dULL);
}

TEST(RecordHeader, EveryFlippedBitIsFound) {
  const auto good = encode_record_header(sample_record_header(), place);
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    auto bad = good;
    bad[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
    EXPECT_THROW(decode_record_header(bad, place), Error) << "bit " << bit;
  }
}

TEST(RecordHeader, ChecksumBelongsToPackOffsetAndGeneration) {
  const auto bytes = encode_record_header(sample_record_header(), place);
  for (const RecordPlace& other :
       {RecordPlace{uuid_of(8), 4096, 2}, RecordPlace{uuid_of(7), 4160, 2},
        RecordPlace{uuid_of(7), 4096, 3}}) {
    EXPECT_CONTAINS(error_of(ErrorCode::corrupt, [&] { decode_record_header(bytes, other); }),
                    "of another pack, offset or generation");
  }
}

TEST(RecordHeader, TooShortIsNamed) {
  const auto bytes = encode_record_header(sample_record_header(), place);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const auto part = std::span<const std::byte>(bytes).first(size);
    EXPECT_CONTAINS(error_of(ErrorCode::corrupt, [&] { decode_record_header(part, place); }),
                    "record header at offset 4096: only");
  }
}

TEST(RecordHeader, BadFieldsBehindAGoodChecksumAreNamed) {
  auto header = sample_record_header();
  header.kind = static_cast<RecordKind>(9);
  EXPECT_CONTAINS(message_of(header), "kind is 9");

  header = sample_record_header();
  header.copy = 1;
  EXPECT_CONTAINS(message_of(header), "copy is 1");

  header = sample_record_header();
  header.raw_size = std::uint64_t{limits::chunk_raw_size} + 1;
  EXPECT_CONTAINS(message_of(header), "raw_size is 67108865, the limit is 67108864");

  header = sample_record_header();
  header.kind = RecordKind::manifest;
  header.raw_size = limits::manifest_raw_size + 1;
  EXPECT_CONTAINS(message_of(header), "raw_size is 1073741825");

  header = sample_record_header();
  header.stored_size = header.raw_size + 1;
  EXPECT_CONTAINS(message_of(header), "stored_size is 1048577, more than raw_size 1048576");

  header = sample_record_header();
  header.codec = Codec::raw;
  EXPECT_CONTAINS(message_of(header),
                  "codec raw: stored_size is 900000, expected raw_size 1048576");

  header.codec = Codec::constant;
  EXPECT_CONTAINS(message_of(header), "codec constant: stored_size is 900000, expected 1");
}

TEST(RecordHeader, ReservedCodecsAndBasesAreNewer) {
  for (const auto codec : {Codec::sparse, Codec::delta, static_cast<Codec>(200)}) {
    auto header = sample_record_header();
    header.codec = codec;
    const auto message = message_of(header, ErrorCode::newer_format);
    EXPECT_CONTAINS(message, "record 17 at offset 4096: codec");
    EXPECT_CONTAINS(message, "use a newer one");
  }
  auto header = sample_record_header();
  header.base = {uuid_of(9), 3};
  EXPECT_CONTAINS(message_of(header, ErrorCode::newer_format), "has a base (chunk 3 of pack 0909");
  header = sample_record_header();
  header.base_depth = 1;
  message_of(header, ErrorCode::newer_format);
  header = sample_record_header();
  header.base_path = 1;
  message_of(header, ErrorCode::newer_format);
  header = sample_record_header();
  header.base_digest = {1, 0};
  message_of(header, ErrorCode::newer_format);
}

}  // namespace
}  // namespace ckp::format
