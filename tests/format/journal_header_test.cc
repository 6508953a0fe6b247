#include <gtest/gtest.h>

#include <algorithm>

#include "ckp/format/journal_record.h"
#include "ckp/format/wire.h"
#include "support/expect_error.h"
#include "support/fixed_header.h"

namespace ckp::format {
namespace {

using test::expect_error;
using test::reseal;
using test::with_byte;

using Bytes = std::vector<std::byte>;

JournalHeader sample_header() {
  JournalHeader header;
  header.run = *Uuid::from_hex("a0a1a2a3a4a5a6a7a8a9aaabacadaeaf");
  header.journal = *Uuid::from_hex("b0b1b2b3b4b5b6b7b8b9babbbcbdbebf");
  return header;
}

void expect_corrupt_header(const Bytes& bytes, std::string_view message) {
  expect_error(ErrorCode::corrupt, message, [&] { decode_journal_header(bytes); });
  expect_error(ErrorCode::corrupt, message, [&] { decode_journal(bytes); });
}

// The table of spec/store.md, "Journal header", byte by byte.
TEST(JournalHeader, StandsWhereTheSpecificationSays) {
  Writer expected;
  expected.text(
      "\x89"
      "CKJ\r\n\x1a\n");
  expected.u16(1);
  expected.u16(1);
  expected.zeros(28);
  expected.uuid(sample_header().run);
  expected.uuid(sample_header().journal);
  expected.zeros(48);
  expected.u64(checksum_of(expected.buffer()));
  EXPECT_EQ(encode_journal_header(sample_header()), expected.buffer());
  EXPECT_EQ(expected.size(), JournalHeader::size);
}

TEST(JournalHeader, RoundTrips) {
  JournalHeader header = sample_header();
  header.features = {.ignore = 7, .read_only = 8, .refuse = 0};
  header.versions = {.write_version = 5, .read_version = 1};
  const JournalHeader back = decode_journal_header(encode_journal_header(header));
  EXPECT_EQ(back.run, header.run);
  EXPECT_EQ(back.journal, header.journal);
  EXPECT_EQ(back.features, header.features);
  EXPECT_EQ(back.versions, header.versions);
}

TEST(JournalHeader, DamageIsAnError) {
  Bytes bytes = encode_journal_header(sample_header());
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    expect_corrupt_header({bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size)},
                          "bytes, but its header alone has 128");
  }
  for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    bytes[bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
    expect_corrupt_header(bytes, bit < 64 ? "journal: magic is" : "journal: header checksum is");
    bytes[bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
  }
}

TEST(JournalHeader, FieldsBehindARightChecksumAreCheckedToo) {
  const Bytes good = encode_journal_header(sample_header());
  expect_corrupt_header(with_byte(good, 10, 0), "read version 0");
  expect_corrupt_header(with_byte(good, 13, 1), "journal: reserved byte 13");
  for (std::size_t at = 72; at < 120; ++at) {
    expect_corrupt_header(with_byte(good, at, 1), "journal: reserved byte " + std::to_string(at));
  }
  for (const auto& [from, message] : {std::pair{40, "the run's uuid is all zero"},
                                      std::pair{56, "the journal's uuid is all zero"}}) {
    Bytes nil = good;
    std::fill_n(nil.begin() + from, 16, std::byte{0});
    reseal(nil);
    expect_corrupt_header(nil, message);
  }
  expect_error(ErrorCode::invalid_argument, "the run's uuid is all zero",
               [] { encode_journal_header({}); });
}

TEST(JournalHeader, NewerJournalsAreRefused) {
  JournalHeader header = sample_header();
  header.versions = {.write_version = 2, .read_version = 2};
  expect_error(ErrorCode::newer_format, "journal: needs format version 2",
               [&] { decode_journal(encode_journal_header(header)); });
  header = sample_header();
  header.features.refuse = std::uint64_t{1} << 40;
  expect_error(ErrorCode::newer_format, "bit 40",
               [&] { decode_journal(encode_journal_header(header)); });
}

}  // namespace
}  // namespace ckp::format
