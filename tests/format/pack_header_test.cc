#include <gtest/gtest.h>

#include "ckp/format/pack.h"
#include "pack_support.h"

namespace ckp::format {
namespace {

using test::Bytes;
using test::bytes_of;
using test::error_of;
using test::uuid_of;

PackHeader sample_pack_header() {
  return {.may_use = {0, 0, feature::external_references},
          .alignment_log2 = 12,
          .uuid = uuid_of(3),
          .generation = 4};
}

std::string message_of(const Bytes& bytes, ErrorCode code = ErrorCode::corrupt) {
  return error_of(code, [&] { decode_pack_header(bytes); });
}

TEST(PackHeader, RoundTrips) {
  const auto bytes = encode_pack_header(sample_pack_header());
  ASSERT_EQ(bytes.size(), PackHeader::size);
  const auto decoded = decode_pack_header(bytes);
  EXPECT_EQ(decoded.versions, sample_pack_header().versions);
  EXPECT_EQ(decoded.may_use, sample_pack_header().may_use);
  EXPECT_EQ(decoded.alignment_log2, 12);
  EXPECT_EQ(decoded.uuid, sample_pack_header().uuid);
  EXPECT_EQ(decoded.generation, 4u);
}

TEST(PackHeader, RefusesToWriteWhatItWouldNotRead) {
  auto header = sample_pack_header();
  header.uuid = {};
  EXPECT_CONTAINS(error_of(ErrorCode::invalid_argument, [&] { encode_pack_header(header); }),
                  "uuid");
  for (const int log2 : {0, 5, 13, 255}) {
    header = sample_pack_header();
    header.alignment_log2 = static_cast<std::uint8_t>(log2);
    EXPECT_CONTAINS(error_of(ErrorCode::invalid_argument, [&] { encode_pack_header(header); }),
                    "expected 6 to 12");
  }
}

TEST(PackHeader, EveryFlippedBitIsFound) {
  const auto good = encode_pack_header(sample_pack_header());
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    auto bad = good;
    bad[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
    EXPECT_THROW(decode_pack_header(bad), Error) << "bit " << bit;
  }
}

TEST(PackHeader, OtherFilesAreRecognized) {
  EXPECT_CONTAINS(message_of({}), "the file is empty");
  EXPECT_CONTAINS(message_of(Bytes(4096)), "all zero");
  EXPECT_CONTAINS(message_of(Bytes(5)), "all zero");
  EXPECT_CONTAINS(message_of(bytes_of("PK\x03\x04 and more")), "zip file, perhaps a PyTorch .pt");
  Writer safetensors;
  safetensors.u64(60);
  safetensors.text("{\"weight\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}");
  EXPECT_CONTAINS(message_of(safetensors.release()), "safetensors");
  EXPECT_CONTAINS(message_of(bytes_of(std::string(300, 'x'))), "another kind of file");
}

TEST(PackHeader, ConvertedLineEndingsAreRecognized) {
  const auto good = encode_pack_header(sample_pack_header());
  Bytes unix_to_dos;
  Bytes dos_to_unix;
  for (std::size_t i = 0; i < good.size(); ++i) {
    const bool lf = good[i] == std::byte{'\n'};
    if (lf) unix_to_dos.push_back(std::byte{'\r'});
    unix_to_dos.push_back(good[i]);
    const bool crlf =
        good[i] == std::byte{'\r'} && i + 1 < good.size() && good[i + 1] == std::byte{'\n'};
    if (!crlf) dos_to_unix.push_back(good[i]);
  }
  EXPECT_CONTAINS(message_of(unix_to_dos), "line endings were converted");
  EXPECT_CONTAINS(message_of(dos_to_unix), "line endings were converted");
  auto seven_bits = good;
  for (auto& byte : seven_bits) byte &= std::byte{0x7f};
  EXPECT_CONTAINS(message_of(seven_bits), "high bits");
}

TEST(PackHeader, ShortFilesAreNamed) {
  const auto good = encode_pack_header(sample_pack_header());
  for (std::size_t size = 8; size < good.size(); ++size) {
    const Bytes part(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_CONTAINS(message_of(part), "its header alone has 128");
  }
}

TEST(PackHeader, NewerVersionsSayWhichIsNeeded) {
  auto header = sample_pack_header();
  header.versions = {9, 7};
  const auto message = message_of(encode_pack_header(header), ErrorCode::newer_format);
  EXPECT_CONTAINS(message, "needs format version 7");
  EXPECT_CONTAINS(message, "use a newer ckpstore");
  header.versions = {9, 1};  // newer, but readable
  EXPECT_EQ(decode_pack_header(encode_pack_header(header)).versions.write_version, 9);
}

TEST(PackHeader, WhatMayOccurDoesNotDecide) {
  auto header = sample_pack_header();
  header.may_use.refuse = ~std::uint64_t{0};
  EXPECT_EQ(decode_pack_header(encode_pack_header(header)).may_use.refuse, ~std::uint64_t{0});
}

PackTrailer trailer_sample() {
  return {.uses = {1, 2, feature::external_references},
          .uuid = uuid_of(3),
          .generation = 4,
          .chunk_count = 5,
          .manifest_count = 6,
          .table_offset = 0x123456789,
          .file_size = 0x223456789};
}

TEST(PackTrailer, RoundTrips) {
  const auto bytes = encode_pack_trailer(trailer_sample());
  ASSERT_EQ(bytes.size(), PackTrailer::size);
  const auto decoded = decode_pack_trailer(bytes);
  EXPECT_EQ(decoded.uses, trailer_sample().uses);
  EXPECT_EQ(decoded.uuid, trailer_sample().uuid);
  EXPECT_EQ(decoded.generation, 4u);
  EXPECT_EQ(decoded.chunk_count, 5u);
  EXPECT_EQ(decoded.manifest_count, 6u);
  EXPECT_EQ(decoded.table_offset, 0x123456789u);
  EXPECT_EQ(decoded.file_size, 0x223456789u);
}

TEST(PackTrailer, EveryFlippedBitIsFound) {
  const auto good = encode_pack_trailer(trailer_sample());
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    auto bad = good;
    bad[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
    EXPECT_THROW(decode_pack_trailer(bad), Error) << "bit " << bit;
  }
}

TEST(PackTrailer, WhatIsUsedDecides) {
  auto trailer = trailer_sample();
  trailer.uses.refuse = feature::delta | std::uint64_t{1} << 40;
  const auto message =
      error_of(ErrorCode::newer_format, [&] { decode_pack_trailer(encode_pack_trailer(trailer)); });
  EXPECT_CONTAINS(message, "pack trailer: uses a feature");
  EXPECT_CONTAINS(message, "delta, bit 40");
  EXPECT_CONTAINS(error_of(ErrorCode::corrupt, [&] { decode_pack_trailer(Bytes(128)); }),
                  "cut short");
}

}  // namespace
}  // namespace ckp::format
