#include "ckp/format/wire.h"

#include <gtest/gtest.h>

#include <limits>

#include "support/expect_error.h"

namespace ckp::format {
namespace {

using test::expect_error;

std::vector<std::byte> bytes_of(std::initializer_list<int> values) {
  std::vector<std::byte> bytes;
  for (const int value : values) bytes.push_back(static_cast<std::byte>(value));
  return bytes;
}

Uuid counting_uuid() {
  Uuid uuid;
  for (std::size_t i = 0; i < uuid.bytes.size(); ++i) uuid.bytes[i] = static_cast<std::byte>(i + 1);
  return uuid;
}

TEST(Wire, WritesLittleEndian) {
  Writer writer;
  writer.u8(0x01);
  writer.u16(0x0302);
  writer.u32(0x07060504);
  writer.u64(0x0f0e0d0c0b0a0908);
  writer.i64(-2);
  writer.digest({.low = 0x11, .high = 0x22});
  writer.text("ab");
  writer.zeros(2);
  EXPECT_EQ(writer.buffer(), bytes_of({1,    2,    3,  4,  5,    6,    7,    8,    9,    10,   11,
                                       12,   13,   14, 15, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                       0xff, 0x11, 0,  0,  0,    0,    0,    0,    0,    0x22, 0,
                                       0,    0,    0,  0,  0,    0,    'a',  'b',  0,    0}));
  EXPECT_EQ(writer.size(), 43u);
}

TEST(Wire, ReadsWhatWasWritten) {
  Writer writer;
  writer.u8(0xff);
  writer.u16(0xfffe);
  writer.u32(0xfffffffd);
  writer.u64(std::numeric_limits<std::uint64_t>::max() - 3);
  writer.i64(std::numeric_limits<std::int64_t>::min());
  writer.uuid(counting_uuid());
  writer.digest({.low = 5, .high = 6});
  writer.bytes(as_bytes("payload"));
  const auto buffer = writer.release();
  Reader reader(buffer, "test");
  EXPECT_EQ(reader.u8(), 0xff);
  EXPECT_EQ(reader.u16(), 0xfffe);
  EXPECT_EQ(reader.u32(), 0xfffffffd);
  EXPECT_EQ(reader.u64(), std::numeric_limits<std::uint64_t>::max() - 3);
  EXPECT_EQ(reader.i64(), std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(reader.uuid(), counting_uuid());
  EXPECT_EQ(reader.digest(), (Digest{.low = 5, .high = 6}));
  EXPECT_EQ(reader.offset(), buffer.size() - 7);
  EXPECT_EQ(reader.remaining(), 7u);
  reader.skip(3);
  EXPECT_EQ(reader.take(4).size(), 4u);
  reader.expect_end();
}

TEST(Wire, EveryReadPastTheEndIsAnErrorAndReadsNothing) {
  const std::vector<std::byte> bytes(3);
  Reader reader(bytes, "chunk table");
  reader.skip(3);
  const auto past = [&](std::string_view part, auto read) {
    expect_error(ErrorCode::corrupt, part, read);
    EXPECT_EQ(reader.offset(), 3u);
  };
  past("chunk table: 1 bytes needed at byte 3, but it ends at 3", [&] { reader.u8(); });
  past("2 bytes needed", [&] { reader.u16(); });
  past("4 bytes needed", [&] { reader.u32(); });
  past("8 bytes needed", [&] { reader.u64(); });
  past("16 bytes needed", [&] { reader.uuid(); });
  past("8 bytes needed", [&] { reader.digest(); });
  past("18446744073709551615 bytes needed", [&] { reader.take(~std::uint64_t{0}); });
  past("1 bytes needed", [&] { reader.expect_zero(1); });
  EXPECT_EQ(reader.take(0).size(), 0u);
}

TEST(Wire, ReservedBytesMustBeZero) {
  const auto bytes = bytes_of({0, 0, 0, 7});
  Reader good(bytes, "manifest");
  good.expect_zero(3);
  EXPECT_EQ(good.u8(), 7);
  Reader bad(bytes, "manifest");
  bad.skip(1);
  expect_error(ErrorCode::corrupt, "manifest: reserved byte 3 is 0x07, expected 0",
               [&] { bad.expect_zero(3); });
}

TEST(Wire, LeftOverBytesAreAnError) {
  const std::vector<std::byte> bytes(10);
  Reader reader(bytes, "manifest");
  reader.skip(8);
  expect_error(ErrorCode::corrupt, "manifest: 2 bytes too many, expected the end at byte 8",
               [&] { reader.expect_end(); });
}

TEST(Wire, AlignUp) {
  EXPECT_EQ(align_up(0, 64), 0u);
  EXPECT_EQ(align_up(1, 64), 64u);
  EXPECT_EQ(align_up(64, 64), 64u);
  EXPECT_EQ(align_up(65, 4096), 4096u);
  EXPECT_EQ(align_up(7, 1), 7u);
}

}  // namespace
}  // namespace ckp::format
