#include "ckp/format/journal_record.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "ckp/format/limits.h"
#include "ckp/format/wire.h"
#include "support/expect_error.h"
#include "support/seed.h"

namespace ckp::format {
namespace {

using test::expect_error;

using Bytes = std::vector<std::byte>;

JournalHeader journal_header() {
  JournalHeader header;
  header.run = *Uuid::from_hex("a0a1a2a3a4a5a6a7a8a9aaabacadaeaf");
  header.journal = *Uuid::from_hex("b0b1b2b3b4b5b6b7b8b9babbbcbdbebf");
  return header;
}

JournalRecord sample_record(std::uint64_t sequence) {
  return {.kind = sequence == 0 ? JournalKind::run_created : JournalKind::metrics,
          .sequence = sequence,
          .commit = 100 + sequence,
          .payload = Value::Map{{"loss", 1.0 / static_cast<double>(sequence + 1)},
                                {"text", std::string(sequence % 7, 'x')}}};
}

void append(Bytes& file, const JournalRecord& record, const JournalHeader& header) {
  const Bytes bytes = encode_journal_record(record, header, file.size());
  file.insert(file.end(), bytes.begin(), bytes.end());
}

// A journal of `count` records, and where each starts (and the last ends).
struct Journal {
  Bytes file;
  std::vector<std::size_t> offsets;
};

Journal sample_journal(std::size_t count) {
  Journal journal{.file = encode_journal_header(journal_header()),
                  .offsets = {JournalHeader::size}};
  for (std::size_t i = 0; i < count; ++i) {
    append(journal.file, sample_record(i), journal_header());
    journal.offsets.push_back(journal.file.size());
  }
  return journal;
}

// Records are those of sample_journal, except `lost`; each stands where it was written.
void expect_records(const JournalContents& contents, const Journal& journal,
                    std::vector<std::size_t> lost = {}) {
  std::vector<std::uint64_t> expected;
  for (std::size_t i = 0; i + 1 < journal.offsets.size(); ++i) {
    if (std::ranges::find(lost, i) == lost.end()) expected.push_back(i);
  }
  std::vector<std::uint64_t> found;
  for (const auto& entry : contents.records) {
    const std::uint64_t i = entry.record.sequence;
    found.push_back(i);
    EXPECT_EQ(entry.offset, journal.offsets.at(i));
    EXPECT_EQ(entry.record.commit, 100 + i);
    EXPECT_EQ(entry.record.kind, sample_record(i).kind);
    EXPECT_EQ(entry.record.payload, sample_record(i).payload);
  }
  EXPECT_EQ(found, expected);
}

// The stretches [offset, end) that are no records, with part of the first one's reason.
void expect_one_gap(const JournalContents& contents, std::uint64_t offset, std::uint64_t end,
                    std::string_view reason) {
  ASSERT_EQ(contents.gaps.size(), 1u);
  EXPECT_EQ(contents.gaps[0].offset, offset);
  EXPECT_EQ(contents.gaps[0].end, end);
  EXPECT_NE(contents.gaps[0].reason.find(reason), std::string::npos) << contents.gaps[0].reason;
}

// The table of spec/store.md, "Journal record", byte by byte.
TEST(JournalRecord, StandsWhereTheSpecificationSays) {
  const JournalHeader in = journal_header();
  const JournalRecord record{
      .kind = JournalKind::status, .sequence = 3, .commit = 9, .payload = "x"};
  Writer place;
  place.uuid(in.run);
  place.uuid(in.journal);
  place.u64(128);
  const auto checksum = [&](std::initializer_list<std::span<const std::byte>> parts) {
    Bytes all;
    for (const auto part : parts) all.insert(all.end(), part.begin(), part.end());
    return checksum_of(all);
  };
  Writer expected;
  expected.text("\x8aJR\n");
  expected.u32(2);
  expected.u64(3);
  expected.u64(9);
  expected.u16(4);
  expected.u16(0);
  expected.u32(static_cast<std::uint32_t>(checksum({expected.buffer(), place.buffer()})));
  const Bytes payload = to_cbor("x");
  expected.u64(checksum({expected.buffer(), payload, place.buffer()}));
  EXPECT_EQ(expected.size(), JournalRecord::header_size);
  expected.bytes(payload);
  EXPECT_EQ(encode_journal_record(record, in, 128), expected.buffer());
}

TEST(JournalRecord, RoundTrips) {
  const Journal journal = sample_journal(20);
  const JournalContents contents = decode_journal(journal.file);
  expect_records(contents, journal);
  EXPECT_TRUE(contents.gaps.empty());
  EXPECT_EQ(contents.header.run, journal_header().run);
  const JournalContents empty = decode_journal(encode_journal_header(journal_header()));
  EXPECT_TRUE(empty.records.empty());
  EXPECT_TRUE(empty.gaps.empty());
}

TEST(JournalRecord, UnknownKindsAreKept) {
  Bytes file = encode_journal_header(journal_header());
  append(file, {.kind = static_cast<JournalKind>(999), .payload = 1}, journal_header());
  const JournalContents contents = decode_journal(file);
  ASSERT_EQ(contents.records.size(), 1u);
  EXPECT_EQ(static_cast<std::uint16_t>(contents.records[0].record.kind), 999);
}

TEST(JournalRecord, TruncationAtEveryLengthLosesTheTornRecordOnly) {
  const Journal journal = sample_journal(5);
  for (std::size_t size = JournalHeader::size; size <= journal.file.size(); ++size) {
    const JournalContents contents = decode_journal(std::span(journal.file).first(size));
    const auto whole =
        std::ranges::upper_bound(journal.offsets, size) - journal.offsets.begin() - 1;
    const std::size_t end_of_whole = journal.offsets.at(static_cast<std::size_t>(whole));
    ASSERT_EQ(contents.records.size(), static_cast<std::size_t>(whole)) << size;
    if (size == end_of_whole) {
      ASSERT_TRUE(contents.gaps.empty()) << size;
    } else {
      expect_one_gap(contents, end_of_whole, size, "the file ends after ");
    }
  }
}

TEST(JournalRecord, EveryBitFlipLosesItsRecordOnlyAndIsReported) {
  const Journal journal = sample_journal(4);
  Bytes file = journal.file;
  for (std::size_t bit = 8 * JournalHeader::size; bit < 8 * file.size(); ++bit) {
    file[bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
    const JournalContents contents = decode_journal(file);
    const auto after = std::ranges::upper_bound(journal.offsets, bit / 8);
    const auto hit = static_cast<std::size_t>(after - journal.offsets.begin() - 1);
    expect_records(contents, journal, {hit});
    expect_one_gap(contents, *(after - 1), *after, "");
    file[bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
    if (HasFailure()) FAIL() << "bit " << bit;
  }
}

TEST(JournalRecord, EachKindOfDamageHasItsReason) {
  const Journal journal = sample_journal(3);
  const auto damaged = [&](std::size_t at) {
    Bytes file = journal.file;
    file[journal.offsets[1] + at] ^= std::byte{1};
    return decode_journal(file);
  };
  const auto expect_reason = [&](std::size_t at, std::string_view reason) {
    expect_one_gap(damaged(at), journal.offsets[1], journal.offsets[2], reason);
  };
  expect_reason(0, "no record starts here");
  expect_reason(4, "record header checksum is wrong");
  expect_reason(28, "record header checksum is wrong");
  expect_reason(32, "record checksum is wrong");
  expect_reason(40, "record checksum is wrong");
}

// Makes a record from its fields with both checksums right, to reach the checks behind them.
Bytes forged_record(std::uint32_t size, std::uint16_t kind, std::uint16_t reserved,
                    std::string_view payload, std::uint64_t offset) {
  Writer place;
  place.uuid(journal_header().run);
  place.uuid(journal_header().journal);
  place.u64(offset);
  const auto sum = [&](const Bytes& fields, std::span<const std::byte> more) {
    DigestStream stream;
    stream.update(fields);
    stream.update(more);
    stream.update(place.buffer());
    return stream.checksum();
  };
  Writer record;
  record.text("\x8aJR\n");
  record.u32(size);
  record.zeros(16);
  record.u16(kind);
  record.u16(reserved);
  record.u32(static_cast<std::uint32_t>(sum(record.buffer(), {})));
  record.u64(sum(record.buffer(), as_bytes(payload)));
  record.text(payload);
  return record.release();
}

TEST(JournalRecord, FieldsBehindRightChecksumsAreCheckedToo) {
  const auto reason_of = [](const Bytes& record) {
    Bytes file = encode_journal_header(journal_header());
    file.insert(file.end(), record.begin(), record.end());
    const JournalContents contents = decode_journal(file);
    return contents.gaps.empty() ? "" : contents.gaps[0].reason;
  };
  EXPECT_EQ(reason_of(forged_record(1, 3, 0, "\x01", 128)), "");
  EXPECT_EQ(reason_of(forged_record(1, 3, 5, "\x01", 128)),
            "reserved field of the record header is 5, expected 0");
  EXPECT_EQ(reason_of(forged_record(1, 0, 0, "\x01", 128)), "record kind is 0");
  EXPECT_EQ(reason_of(forged_record(limits::journal_record_size + 1, 3, 0, "\x01", 128)),
            "payload of 16777217 bytes is over the limit of 16777216");
  EXPECT_EQ(reason_of(forged_record(~0u, 3, 0, "\x01", 128)),
            "payload of 4294967295 bytes is over the limit of 16777216");
  EXPECT_EQ(reason_of(forged_record(2, 3, 0, "\x01", 128)),
            "the file ends after 41 of 42 record bytes");
  EXPECT_EQ(reason_of(forged_record(1, 3, 0, "\xff", 128)),
            "record payload: CBOR: byte 0: indefinite lengths are not allowed");
  EXPECT_EQ(reason_of(forged_record(0, 3, 0, "", 128)),
            "record payload: CBOR: byte 0: the input ends at byte 0");
  EXPECT_EQ(reason_of(forged_record(1, 3, 0, "\x01", 129)), "record header checksum is wrong");
}

// A short write that could not be cut back, and another appended where it left off (H10).
TEST(JournalRecord, ATearInTheMiddleLosesNothingBehindIt) {
  const Bytes torn = encode_journal_record(sample_record(1), journal_header(), 0);
  for (std::size_t keep = 1; keep < torn.size(); ++keep) {
    Bytes file = encode_journal_header(journal_header());
    append(file, sample_record(0), journal_header());
    const std::size_t tear = file.size();
    const Bytes record = encode_journal_record(sample_record(1), journal_header(), tear);
    file.insert(file.end(), record.begin(), record.begin() + static_cast<std::ptrdiff_t>(keep));
    const std::size_t next = file.size();
    append(file, sample_record(2), journal_header());
    append(file, sample_record(3), journal_header());
    const JournalContents contents = decode_journal(file);
    ASSERT_EQ(contents.records.size(), 3u) << keep;
    EXPECT_EQ(contents.records[1].offset, next);
    EXPECT_EQ(contents.records[1].record.sequence, 2u);
    expect_one_gap(contents, tear, next, "");
  }
}

TEST(JournalRecord, RecordsOfOtherPlacesAreNotTaken) {
  const Journal journal = sample_journal(2);
  const auto expect_foreign = [](const JournalHeader& header, const Bytes& record) {
    Bytes file = encode_journal_header(header);
    file.insert(file.end(), record.begin(), record.end());
    const JournalContents contents = decode_journal(file);
    EXPECT_TRUE(contents.records.empty());
    EXPECT_EQ(contents.gaps.size(), 1u);
  };
  const Bytes record = encode_journal_record(sample_record(0), journal_header(), 128);
  JournalHeader other_run = journal_header();
  other_run.run.bytes[0] ^= std::byte{1};
  expect_foreign(other_run, record);
  JournalHeader other_journal = journal_header();
  other_journal.journal.bytes[15] ^= std::byte{1};
  expect_foreign(other_journal, record);
  expect_foreign(journal_header(), encode_journal_record(sample_record(0), journal_header(), 129));
}

TEST(JournalRecord, AJournalInsideARecordStaysAValue) {
  const Journal inner = sample_journal(3);
  Bytes file = encode_journal_header(journal_header());
  append(file, {.kind = JournalKind::status, .sequence = 0, .payload = inner.file},
         journal_header());
  EXPECT_EQ(decode_journal(file).records.size(), 1u);
  file[JournalHeader::size + 33] ^= std::byte{1};
  EXPECT_TRUE(decode_journal(file).records.empty());
}

TEST(JournalRecord, ZeroedStretchesAreGaps) {
  const Journal journal = sample_journal(4);
  Bytes file = journal.file;
  const auto at = [&](std::size_t i) {
    return file.begin() + static_cast<std::ptrdiff_t>(journal.offsets[i]);
  };
  std::fill(at(1), at(3), std::byte{0});
  const JournalContents contents = decode_journal(file);
  expect_records(contents, journal, {1, 2});
  expect_one_gap(contents, journal.offsets[1], journal.offsets[3], "no record starts here");
}

TEST(JournalRecord, OverlongAndUnencodablePayloadsAreNotWritten) {
  const auto encode = [](Value payload) {
    encode_journal_record({.payload = std::move(payload)}, journal_header(), 128);
  };
  encode(Value::Bytes(limits::journal_record_size - 5));
  expect_error(ErrorCode::invalid_argument,
               "journal record: payload of 16777217 bytes is over the limit of 16777216",
               [&] { encode(Value::Bytes(limits::journal_record_size - 4)); });
  expect_error(ErrorCode::invalid_argument, "not valid UTF-8", [&] { encode("\xff"); });
}

TEST(JournalRecord, RandomDamageNeverYieldsAWrongRecord) {
  std::mt19937_64 random(test::seed(51));
  const Journal journal = sample_journal(12);
  for (int round = 0; round < 5000; ++round) {
    Bytes file = journal.file;
    const std::size_t first = JournalHeader::size;
    for (auto n = random() % 6 + 1; n > 0; --n) {
      const std::size_t at = first + random() % (file.size() - first);
      const auto size = std::min<std::size_t>(random() % 50, file.size() - at);
      const std::size_t from = random() % (file.size() - size);
      std::copy_n(journal.file.begin() + static_cast<std::ptrdiff_t>(from), size,
                  file.begin() + static_cast<std::ptrdiff_t>(at));
    }
    const JournalContents contents = decode_journal(file);
    for (const auto& entry : contents.records) {
      ASSERT_LT(entry.record.sequence, 12u);
      ASSERT_EQ(entry.offset, journal.offsets[entry.record.sequence]);
      ASSERT_EQ(entry.record.payload, sample_record(entry.record.sequence).payload);
    }
  }
}

// Whoever reads the end of a journal, or goes on where it stopped.
TEST(JournalPart, HoldsTheRecordsThatBeginInIt) {
  const Journal journal = sample_journal(5);
  for (std::size_t begin = JournalHeader::size; begin <= journal.file.size(); ++begin) {
    const auto part = std::span(journal.file).subspan(begin);
    const JournalContents contents = decode_journal_part(journal_header(), part, begin);
    std::vector<std::size_t> earlier;
    for (std::size_t i = 0; i + 1 < journal.offsets.size(); ++i) {
      if (journal.offsets[i] < begin) earlier.push_back(i);
    }
    expect_records(contents, journal, earlier);
    const bool inside = std::ranges::find(journal.offsets, begin) == journal.offsets.end();
    ASSERT_EQ(contents.gaps.size(), inside ? 1u : 0u) << begin;
    if (inside) {
      EXPECT_EQ(contents.gaps[0].offset, begin);
    }
  }
  const auto elsewhere = decode_journal_part(
      journal_header(), std::span(journal.file).subspan(JournalHeader::size), 1000);
  EXPECT_TRUE(elsewhere.records.empty()) << "a record is valid in its own place only";
}

}  // namespace
}  // namespace ckp::format
