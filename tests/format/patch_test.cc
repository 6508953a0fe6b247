#include "ckp/format/patch.h"

#include <gtest/gtest.h>

#include <functional>

#include "pack_support.h"
#include "support/expect_error.h"
#include "support/seed.h"

namespace ckp::format {
namespace {

using test::Bytes;
using test::bytes_of;
using test::expect_error;
using Rows = std::vector<std::uint32_t>;

Bytes encode_rows_of(const Bytes& patched, std::uint32_t row_size, const Rows& rows) {
  Bytes raw;
  const auto row_bytes = [&](std::uint32_t row) {
    const std::size_t begin = std::size_t{row} * row_size;
    return std::span(patched).subspan(begin,
                                      std::min<std::size_t>(row_size, patched.size() - begin));
  };
  encode_patch(row_size, rows, row_bytes, raw);
  return raw;
}

TEST(Patch, StandsAsTheSpecificationSays) {
  const Bytes raw = encode_rows_of(bytes_of("aabbccddeef"), 2, {1, 2, 5});
  EXPECT_EQ(raw, bytes_of(std::string("\2\0\0\0\3\0\0\0bbccf\1\0\0\0\1\0\0\0\3\0\0\0", 25)));
  const PatchRows patch = decode_patch(raw, 11);
  EXPECT_EQ(patch.row_size, 2u);
  EXPECT_EQ(patch.rows, (Rows{1, 2, 5}));
  EXPECT_EQ(Bytes(patch.bytes.begin(), patch.bytes.end()), bytes_of("bbccf"));
}

TEST(Patch, AnyRowsOfAnySizeComeBack) {
  std::mt19937_64 random(test::seed(11));
  for (int round = 0; round < 500; ++round) {
    Bytes patched(1 + random() % 3000);
    for (auto& byte : patched) byte = static_cast<std::byte>(random());
    const auto row_size = static_cast<std::uint32_t>(1 + random() % 300);
    Rows rows;
    Bytes expected;
    for (std::uint32_t row = 0; std::uint64_t{row} * row_size < patched.size(); ++row) {
      if (random() % 3 != 0 && !(rows.empty() && row == 0)) continue;
      rows.push_back(row);
      const std::size_t begin = std::size_t{row} * row_size;
      const std::size_t end = std::min(begin + row_size, patched.size());
      expected.insert(expected.end(), patched.begin() + static_cast<std::ptrdiff_t>(begin),
                      patched.begin() + static_cast<std::ptrdiff_t>(end));
    }
    if (rows.empty()) continue;
    const Bytes raw = encode_rows_of(patched, row_size, rows);
    const PatchRows patch = decode_patch(raw, patched.size());
    EXPECT_EQ(patch.rows, rows);
    EXPECT_EQ(Bytes(patch.bytes.begin(), patch.bytes.end()), expected);
  }
}

TEST(Patch, WhatDoesNotFitIsRefused) {
  const auto refused = [](std::string_view why, const std::string& raw) {
    expect_error(ErrorCode::corrupt, std::string(why), [&] { decode_patch(bytes_of(raw), 11); });
  };
  using namespace std::string_literals;
  refused("patch", "\2\0\0\0\3\0\0"s);
  refused("row_size is 0", "\0\0\0\0\1\0\0\0bb\1\0\0\0"s);
  refused("there are no rows", "\2\0\0\0\0\0\0\0"s);
  refused("2 rows do not fit into 12 bytes", "\2\0\0\0\2\0\0\0\0\0\0\0"s);
  refused("4294967295 rows do not fit", "\2\0\0\0\xff\xff\xff\xff\1\0\0\0"s);
  refused("row 1 stands twice", "\2\0\0\0\2\0\0\0bbcc\1\0\0\0\0\0\0\0"s);
  refused("row 6 of 2 bytes lies behind the 11 bytes", "\2\0\0\0\1\0\0\0bb\6\0\0\0"s);
  refused("lies behind", "\2\0\0\0\2\0\0\0bbcc\1\0\0\0\xff\xff\xff\xff"s);
  refused("1 rows have 2 bytes, expected 1", "\2\0\0\0\1\0\0\0bb\5\0\0\0"s);
  refused("1 rows have 1 bytes, expected 2", "\2\0\0\0\1\0\0\0b\1\0\0\0"s);
}

}  // namespace
}  // namespace ckp::format
