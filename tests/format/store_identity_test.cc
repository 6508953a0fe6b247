#include "ckp/format/store_identity.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "ckp/format/wire.h"
#include "support/expect_error.h"
#include "support/fixed_header.h"
#include "support/seed.h"

namespace ckp::format {
namespace {

using test::expect_error;
using test::reseal;
using test::with_byte;

using Bytes = std::vector<std::byte>;

const Uuid uuid_a = *Uuid::from_hex("a0a1a2a3a4a5a6a7a8a9aaabacadaeaf");
const Uuid uuid_b = *Uuid::from_hex("b0b1b2b3b4b5b6b7b8b9babbbcbdbebf");

StoreIdentity sample_identity() {
  StoreIdentity identity;
  identity.uuid = uuid_a;
  identity.created_ns = 0x0102030405060708;
  identity.features = {.ignore = 0x10, .read_only = 0x20, .refuse = feature::external_references};
  return identity;
}

void expect_corrupt(const Bytes& bytes, std::string_view message) {
  expect_error(ErrorCode::corrupt, message, [&] { decode_store_identity(bytes); });
}

Bytes bytes_at(const Bytes& bytes, std::size_t offset, std::size_t size) {
  const auto part = std::span(bytes).subspan(offset, size);
  return {part.begin(), part.end()};
}

// The table of spec/store.md, "STORE", byte by byte.
TEST(StoreIdentity, StandsWhereTheSpecificationSays) {
  const Bytes bytes = encode_store_identity(sample_identity());
  Writer expected;
  expected.text(
      "\x89"
      "CKS\r\n\x1a\n");
  expected.u16(1);
  expected.u16(1);
  expected.zeros(4);
  expected.u64(0x10);
  expected.u64(0x20);
  expected.u64(1);
  expected.uuid(uuid_a);
  expected.u64(0x0102030405060708);
  expected.zeros(56);
  expected.u64(checksum_of(expected.buffer()));
  EXPECT_EQ(bytes, expected.buffer());
  EXPECT_EQ(bytes.size(), StoreIdentity::size);
}

TEST(StoreIdentity, RoundTrips) {
  const StoreIdentity identity = decode_store_identity(encode_store_identity(sample_identity()));
  EXPECT_EQ(identity.uuid, uuid_a);
  EXPECT_EQ(identity.created_ns, 0x0102030405060708);
  EXPECT_EQ(identity.features, sample_identity().features);
  EXPECT_EQ(identity.versions, Versions{});
}

TEST(StoreIdentity, EveryOtherLengthIsAnError) {
  const Bytes bytes = encode_store_identity(sample_identity());
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    expect_corrupt(bytes_at(bytes, 0, size), "but its header alone has 128");
  }
  Bytes longer = bytes;
  longer.resize(129);
  expect_corrupt(longer, "STORE: 129 bytes, expected 128");
}

TEST(StoreIdentity, EveryBitFlipIsAnError) {
  Bytes bytes = encode_store_identity(sample_identity());
  for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    bytes[bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
    expect_corrupt(bytes, bit < 64 ? "STORE: magic is " : "STORE: header checksum is ");
    bytes[bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
  }
}

TEST(StoreIdentity, AWrongMagicSaysWhatHappened) {
  const Bytes good = encode_store_identity(sample_identity());
  Bytes no_return = good;
  no_return.erase(no_return.begin() + 4);
  expect_corrupt(no_return, "line endings were converted; copy the file again in binary mode");
  Bytes more_returns = good;
  more_returns.insert(more_returns.begin() + 7, std::byte{'\r'});
  expect_corrupt(more_returns, "line endings were converted");
  Bytes seven_bits = good;
  for (std::byte& b : seven_bits) b &= std::byte{0x7f};
  expect_corrupt(seven_bits, "the high bits of bytes were cut off");
  expect_corrupt(Bytes(128),
                 "magic is 0000000000000000, expected 89434b530d0a1a0a: it was never written");
  expect_corrupt(with_byte(good, 3, 'P'), "this is a pack (.ckp)");
  expect_corrupt(with_byte(good, 3, 'J'), "this is a journal");
  expect_corrupt(with_byte(good, 3, 'L'), "this is a lock file");
  expect_corrupt(with_byte(good, 3, 'x'), "this is another kind of file, or its start is damaged");
  expect_corrupt(with_byte(good, 1, 'x'), "this is another kind of file");
}

TEST(StoreIdentity, FieldsBehindARightChecksumAreCheckedToo) {
  const Bytes good = encode_store_identity(sample_identity());
  expect_corrupt(with_byte(good, 10, 0), "read version 0 and write version 1 do not fit");
  expect_corrupt(with_byte(good, 8, 0), "read version 1 and write version 0 do not fit");
  for (std::size_t at = 12; at < 16; ++at) {
    expect_corrupt(with_byte(good, at, 1), "STORE: reserved byte " + std::to_string(at));
  }
  for (std::size_t at = 64; at < 120; ++at) {
    expect_corrupt(with_byte(good, at, 1),
                   "STORE: reserved byte " + std::to_string(at) + " is 0x01, expected 0");
  }
  Bytes nil = good;
  std::fill(nil.begin() + 40, nil.begin() + 56, std::byte{0});
  reseal(nil);
  expect_corrupt(nil, "STORE: the store's uuid is all zero");
  expect_error(ErrorCode::invalid_argument, "uuid is all zero", [] { encode_store_identity({}); });
}

TEST(StoreIdentity, NewerStoresAreRefusedEvenWhenTheirFieldsChanged) {
  StoreIdentity newer = sample_identity();
  newer.versions = {.write_version = 3, .read_version = 2};
  Bytes bytes = encode_store_identity(newer);
  bytes[100] = std::byte{1};
  reseal(bytes);
  expect_error(ErrorCode::newer_format, "STORE: needs format version 2 to be read",
               [&] { decode_store_identity(bytes); });
  newer = sample_identity();
  newer.features.refuse = feature::delta;
  expect_error(ErrorCode::newer_format, "delta",
               [&] { decode_store_identity(encode_store_identity(newer)); });
}

StateBlock sample_block() {
  StateBlock block;
  block.store = uuid_a;
  block.boot = uuid_b;
  block.begin = 42;
  block.end = 41;
  block.run_directory = "cnn-00112233445566778899aabbccddeeff";
  block.stamp = {.device = 1, .inode = 2, .size = 3, .change_time_ns = -4, .transaction = 5};
  block.holder_pid = 77;
  block.holder_host = "node7";
  return block;
}

// The table of spec/store.md, "State block", byte by byte.
TEST(StateBlock, StandsWhereTheSpecificationSays) {
  Writer expected;
  expected.text(
      "\x89"
      "CKL\r\n\x1a\n");
  expected.u16(1);
  expected.zeros(2);
  expected.u32(77);
  expected.uuid(uuid_a);
  expected.uuid(uuid_b);
  expected.u64(42);
  expected.u64(41);
  for (const std::int64_t field : {1, 2, 3, -4, 5}) expected.i64(field);
  expected.u8(36);
  expected.text(sample_block().run_directory);
  expected.zeros(255 - 36);
  expected.u8(5);
  expected.text("node7");
  expected.zeros(63 - 5);
  EXPECT_EQ(expected.size(), 424u);
  expected.zeros(80);
  expected.u64(checksum_of(expected.buffer()));
  EXPECT_EQ(encode_state_block(sample_block()), expected.buffer());
}

TEST(StateBlock, RoundTrips) {
  for (const std::size_t length : {std::size_t{0}, std::size_t{1}, StateBlock::max_directory}) {
    StateBlock block = sample_block();
    block.run_directory = std::string(length, 'd');
    block.holder_host = std::string(std::min<std::size_t>(length, 63), 'h');
    Bytes bytes = encode_state_block(block);
    ASSERT_EQ(bytes.size(), StateBlock::size);
    bytes.resize(1024);  // the lock file goes on
    const auto back = decode_state_block(bytes);
    ASSERT_TRUE(back.has_value());
    EXPECT_EQ(back->store, uuid_a);
    EXPECT_EQ(back->boot, uuid_b);
    EXPECT_EQ(back->begin, 42u);
    EXPECT_EQ(back->end, 41u);
    EXPECT_EQ(back->run_directory, block.run_directory);
    EXPECT_EQ(back->stamp, block.stamp);
    EXPECT_EQ(back->holder_pid, 77u);
    EXPECT_EQ(back->holder_host, block.holder_host);
  }
}

TEST(StateBlock, ALongHostNameIsCut) {
  StateBlock block = sample_block();
  block.holder_host = std::string(64, 'h');
  EXPECT_EQ(decode_state_block(encode_state_block(block))->holder_host, std::string(63, 'h'));
}

TEST(StateBlock, ARunDirectoryIsOneName) {
  StateBlock block = sample_block();
  for (const std::string& name : {std::string(256, 'd'), std::string("."), std::string(".."),
                                  std::string("a/b"), std::string("a\0b", 3)}) {
    block.run_directory = name;
    expect_error(ErrorCode::invalid_argument,
                 "state block: run directory is not one name of at most 255 bytes: ", [&] {
                   encode_state_block(block);
                 });
  }
}

TEST(StateBlock, DamageMeansNothing) {
  Bytes bytes = encode_state_block(sample_block());
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    ASSERT_FALSE(decode_state_block(std::span(bytes).first(size)).has_value()) << size;
  }
  for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    bytes[bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
    ASSERT_FALSE(decode_state_block(bytes).has_value()) << bit;
    bytes[bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
  }
  EXPECT_TRUE(decode_state_block(bytes).has_value());
  EXPECT_FALSE(decode_state_block(Bytes(512)).has_value());
}

TEST(StateBlock, FieldsBehindARightChecksumAreCheckedToo) {
  const Bytes good = encode_state_block(sample_block());
  const auto is_valid = [](const Bytes& bytes) { return decode_state_block(bytes).has_value(); };
  EXPECT_TRUE(is_valid(with_byte(good, 12, 78))) << "another pid";
  EXPECT_FALSE(is_valid(with_byte(good, 3, 'S'))) << "magic";
  EXPECT_FALSE(is_valid(with_byte(good, 8, 2))) << "a newer layout";
  EXPECT_FALSE(is_valid(with_byte(good, 10, 1))) << "reserved";
  EXPECT_FALSE(is_valid(with_byte(good, 104, 35))) << "directory shorter than its text";
  EXPECT_FALSE(is_valid(with_byte(good, 104, 37))) << "directory with a NUL";
  EXPECT_FALSE(is_valid(with_byte(good, 105, '/'))) << "a path";
  EXPECT_FALSE(is_valid(with_byte(good, 360, 64))) << "host over 63 bytes";
  EXPECT_FALSE(is_valid(with_byte(good, 360, 4))) << "host shorter than its text";
  for (std::size_t at = 424; at < 504; ++at) {
    EXPECT_FALSE(is_valid(with_byte(good, at, 1))) << "reserved byte " << at;
  }
}

TEST(StateBlock, RandomBytesWithRightMagicAndChecksumNeverCrash) {
  std::mt19937_64 random(test::seed(41));
  const Bytes good = encode_state_block(sample_block());
  for (int i = 0; i < 20'000; ++i) {
    Bytes bytes = good;
    for (auto n = random() % 8 + 1; n > 0; --n) {
      bytes[random() % bytes.size()] = static_cast<std::byte>(random());
    }
    reseal(bytes);
    const auto block = decode_state_block(bytes);
    if (block.has_value()) {
      ASSERT_EQ(encode_state_block(*block), bytes);
    }
  }
}

}  // namespace
}  // namespace ckp::format
