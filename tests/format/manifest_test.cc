#include "ckp/format/manifest.h"

#include <gtest/gtest.h>

#include <functional>
#include <limits>

#include "ckp/format/limits.h"
#include "pack_support.h"
#include "support/seed.h"

namespace ckp::format {
namespace {

using test::Bytes;
using test::error_of;
using test::uuid_of;

Manifest sample_manifest() {
  Manifest manifest;
  manifest.checkpoint["epoch"] = 3;
  manifest.checkpoint["metrics"] = Value::Map{{"val/loss", 0.25}};
  manifest.values["optimizer"] = Value::Map{{"lr", 1e-3}, {"betas", Value::List{0.9, 0.999}}};
  manifest.references = {
      {{{}, 0}, {1, 2}, 100}, {{uuid_of(9), 5}, {3, 4}, 64}, {{uuid_of(8), 7}, {5, 6}, 64}};
  manifest.storages = {{100, {{0, 0, 100}}}, {96, {{1, 0, 64}, {2, 32, 32}}}, {0, {}}};
  manifest.tensors = {
      {.name = "model/bias", .dtype = DType::float32, .storage = 0, .shape = {4}, .strides = {1}},
      {.name = "model/empty",
       .dtype = DType::int8,
       .storage = 2,
       .shape = {0, 3},
       .strides = {3, 1}},
      {.name = "model/scalar", .dtype = DType::float64, .storage = 1, .storage_offset = 11},
      {.name = "model/weight",
       .dtype = DType::bfloat16,
       .flags = tensor_flag::requires_grad,
       .storage = 1,
       .storage_offset = 1,
       .shape = {2, 3},
       .strides = {1, 2},
       .global_shape = {4, 3},
       .global_offset = {2, 0}},
  };
  return manifest;
}

Manifest patched_manifest() {
  Manifest manifest = sample_manifest();
  manifest.patches = {{0, 1, 50, 50}, {1, 2, 0, 90}};
  return manifest;
}

Manifest differing_manifest() {
  Manifest manifest = patched_manifest();
  manifest.differences = {{0, 0, 0, DifferenceKind::exclusive_or},
                          {1, 0, 1, DifferenceKind::elements32},
                          {1, 0, 2, DifferenceKind::elements64}};
  return manifest;
}

// Of what `differing_manifest` has, a storage of 60 bytes in two pieces derived, and one between.
Manifest derived_manifest() {
  Manifest manifest = differing_manifest();
  manifest.storages.push_back(
      {60, {{no_reference, 0, 10}, {0, 0, 20}, {no_reference, 0, 18}, {0, 0, 12}}});
  manifest.storages.push_back({50, {{no_reference, 0, 50}}});
  manifest.derived = {
      {3, 0, 1, Rounding::bfloat16}, {3, 2, 1, Rounding::float16}, {4, 0, 0, Rounding::float16}};
  return manifest;
}

TEST(Manifest, RoundTrips) {
  const Manifest manifest = sample_manifest();
  EXPECT_EQ(decode_manifest(encode_manifest(manifest)), manifest);
  EXPECT_EQ(decode_manifest(encode_manifest(patched_manifest())), patched_manifest());
  EXPECT_EQ(decode_manifest(encode_manifest(differing_manifest())), differing_manifest());
  EXPECT_EQ(decode_manifest(encode_manifest(derived_manifest())), derived_manifest());
  EXPECT_EQ(decode_manifest(encode_manifest({})), Manifest{});
  EXPECT_EQ(encode_manifest(manifest), encode_manifest(decode_manifest(encode_manifest(manifest))));
}

TEST(Manifest, FindsByName) {
  const Manifest manifest = sample_manifest();
  ASSERT_NE(manifest.find("model/scalar"), nullptr);
  EXPECT_EQ(manifest.find("model/scalar")->dtype, DType::float64);
  EXPECT_EQ(manifest.find("model/scala"), nullptr);
  EXPECT_EQ(manifest.find(""), nullptr);
  EXPECT_EQ(manifest.find("z"), nullptr);
}

TEST(Manifest, FindsTheDifferencesOfAPiece) {
  const Manifest manifest = differing_manifest();
  EXPECT_EQ(manifest.differences_of(0).size(), 1u);
  EXPECT_EQ(manifest.differences_of(1).size(), 2u);
  EXPECT_EQ(manifest.differences_of(1, 0).size(), 2u);
  EXPECT_EQ(manifest.differences_of(1, 1).size(), 0u);
  EXPECT_EQ(manifest.differences_of(2).size(), 0u);
  EXPECT_EQ(manifest.differences_of(1, 0)[1].reference, 2u);
}

TEST(Manifest, RowsCostWhatTheColumnsSay) {
  Manifest manifest;
  const std::size_t before = encode_manifest(manifest).size();
  manifest.storages.push_back({});
  manifest.tensors.push_back({.name = "t", .dtype = DType::uint8, .shape = {0}, .strides = {1}});
  EXPECT_EQ(encode_manifest(manifest).size() - before, 12u + 22u + 1u + 16u);
}

// Each rule: refused when written, by the words given.
struct Rule {
  const char* message;
  std::function<void(Manifest&)> break_it;
};

const std::vector<Rule>& rules() {
  constexpr std::int64_t huge = std::numeric_limits<std::int64_t>::max();
  static const std::vector<Rule> all{
      {"section references, entry 1: raw_size is 67108865",
       [](Manifest& m) { m.references[1].raw_size = limits::chunk_raw_size + 1; }},
      {"section storages, entry 0: size is 101, its pieces hold 100",
       [](Manifest& m) { m.storages[0].size = 101; }},
      {"section storages, entry 1: piece 1: reference is 3, there are 3",
       [](Manifest& m) { m.storages[1].pieces[1].reference = 3; }},
      {"piece 1: 32 bytes at offset 33 do not lie in a chunk of 64",
       [](Manifest& m) { m.storages[1].pieces[1].offset = 33; }},
      {"do not lie in a chunk", [](Manifest& m) { m.storages[1].pieces[1].length = 0xffffffff; }},
      {"do not lie in a chunk", [](Manifest& m) { m.storages[1].pieces[1].offset = 0xffffffff; }},
      {"0 bytes at offset 32", [](Manifest& m) { m.storages[1].pieces[1].length = 0; }},
      {"section patches, entry 0: storage is 3, there are 3",
       [](Manifest& m) { m.patches[0].storage = 3; }},
      {"section patches, entry 1: reference is 3, there are 3",
       [](Manifest& m) { m.patches[1].reference = 3; }},
      {"51 bytes at 50 do not lie in storage 0 of 100",
       [](Manifest& m) { m.patches[0].length = 51; }},
      {"0 bytes at 50", [](Manifest& m) { m.patches[0].length = 0; }},
      {"do not lie in storage 0", [](Manifest& m) { m.patches[0].length = ~std::uint64_t{0}; }},
      {"do not lie in storage 0", [](Manifest& m) { m.patches[0].begin = ~std::uint64_t{0}; }},
      {"section patches, entry 1: storages do not rise",
       [](Manifest& m) {
         m.patches[0] = {1, 1, 0, 1}, m.patches[1] = {0, 1, 0, 1};
       }},
      {"section differences, entry 2: storage is 3, there are 3",
       [](Manifest& m) { m.differences[2].storage = 3; }},
      {"section differences, entry 2: piece is 2, storage 1 has 2",
       [](Manifest& m) { m.differences[2].piece = 2; }},
      {"section differences, entry 0: reference is 3, there are 3",
       [](Manifest& m) { m.differences[0].reference = 3; }},
      {"section differences, entry 0: a chunk of 64 bytes for a piece of 100 bytes",
       [](Manifest& m) { m.differences[0].reference = 1; }},
      {"section differences, entry 1: kind 0 is not known",
       [](Manifest& m) { m.differences[1].kind = static_cast<DifferenceKind>(0); }},
      {"section differences, entry 1: kind 5 is not known",
       [](Manifest& m) { m.differences[1].kind = static_cast<DifferenceKind>(5); }},
      {"section differences, entry 1: storages and pieces do not rise",
       [](Manifest& m) { std::swap(m.differences[0], m.differences[1]); }},
      {"section differences, entry 17: piece 0 of storage 1 has more than 16",
       [](Manifest& m) { m.differences.insert(m.differences.end(), 15, m.differences.back()); }},
      {"section tensors, entry 0: the name is empty", [](Manifest& m) { m.tensors[0].name = ""; }},
      {"the name has 4097 bytes", [](Manifest& m) { m.tensors[0].name.assign(4097, 'a'); }},
      {"the name is not UTF-8", [](Manifest& m) { m.tensors[0].name = "a\xff"; }},
      {"without NUL", [](Manifest& m) { m.tensors[0].name = std::string("a\0b", 3); }},
      {"(model/bias): names are not sorted", [](Manifest& m) { m.tensors[1].name = "model/bias"; }},
      {"names are not sorted", [](Manifest& m) { std::swap(m.tensors[0], m.tensors[1]); }},
      {"dtype 99 is not known", [](Manifest& m) { m.tensors[0].dtype = static_cast<DType>(99); }},
      {"flags are 0x8", [](Manifest& m) { m.tensors[0].flags = 8; }},
      {"rank is 65",
       [](Manifest& m) {
         m.tensors[0].shape.assign(65, 1);
         m.tensors[0].strides.assign(65, 1);
       }},
      {"2 strides for 1 dimensions",
       [](Manifest& m) {
         m.tensors[0].strides = {1, 1};
       }},
      {"shape has a negative", [](Manifest& m) { m.tensors[0].shape = {-1}; }},
      {"strides have a negative", [](Manifest& m) { m.tensors[0].strides = {-1}; }},
      {"storage is 3, there are 3", [](Manifest& m) { m.tensors[0].storage = 3; }},
      {"storage_offset is -1", [](Manifest& m) { m.tensors[0].storage_offset = -1; }},
      {"reach beyond storage 0 of 100", [](Manifest& m) { m.tensors[0].shape = {26}; }},
      {"reach beyond", [](Manifest& m) { m.tensors[0].storage_offset = 22; }},
      {"reach beyond", [](Manifest& m) { m.tensors[0].storage_offset = huge; }},
      {"reach beyond", [](Manifest& m) { m.tensors[0].strides = {huge}; }},
      {"reach beyond", [](Manifest& m) { m.tensors[0].shape = {huge}; }},
      {"reach beyond",
       [](Manifest& m) {
         m.tensors[0].shape = {huge, huge};  // no bytes needed, and yet no size to allocate
         m.tensors[0].strides = {0, 0};
       }},
      {"dimension 0: 2 at global_offset 3 exceed global_shape 4",
       [](Manifest& m) {
         m.tensors[3].global_offset = {3, 0};
       }},
      {"global_offset -1",
       [](Manifest& m) {
         m.tensors[3].global_offset = {-1, 0};
       }},
      {"exceed global_shape",
       [](Manifest& m) {
         m.tensors[3].global_offset = {huge, 0};
       }},
      {"global_shape has 1", [](Manifest& m) { m.tensors[3].global_shape = {4}; }},
      {"global_shape has 2 and global_offset 0",
       [](Manifest& m) { m.tensors[3].global_offset = {}; }},
  };
  return all;
}

TEST(Manifest, EveryRuleIsKeptWhenWriting) {
  for (const Rule& rule : rules()) {
    Manifest manifest = differing_manifest();
    rule.break_it(manifest);
    EXPECT_CONTAINS(error_of(ErrorCode::invalid_argument, [&] { encode_manifest(manifest); }),
                    rule.message);
  }
}

// Raw manifests with one field changed, found by its value.
Bytes replaced(Bytes bytes, std::size_t at, std::uint64_t value, std::size_t width) {
  for (std::size_t i = 0; i < width; ++i) bytes[at + i] = static_cast<std::byte>(value >> (8 * i));
  return bytes;
}

// Where section `number` starts, by walking over their headers.
std::size_t section_at(const Bytes& raw, unsigned number) {
  std::size_t at = 0;
  while (Reader(std::span(raw).subspan(at), "t").u16() != number) {
    at += 16 + Reader(std::span(raw).subspan(at + 8), "t").u64();
  }
  return at;
}

TEST(Manifest, UnknownSectionsAreSkippedUnlessRequired) {
  for (const std::uint16_t number : {std::uint16_t{6}, std::uint16_t{10}, std::uint16_t{1000}}) {
    Writer more;
    more.u16(number);
    more.u16(0);
    more.u32(0);
    more.u64(5);
    more.text("hello");
    Bytes raw = encode_manifest(sample_manifest());
    const std::size_t at = raw.size();
    raw.insert(raw.end(), more.buffer().begin(), more.buffer().end());
    EXPECT_EQ(decode_manifest(raw), sample_manifest());
    raw[at + 2] = std::byte{1};
    const auto message = error_of(ErrorCode::newer_format, [&] { decode_manifest(raw); });
    EXPECT_CONTAINS(message, "section " + std::to_string(number) + " is required");
  }
}

TEST(Manifest, MissingAndRepeatedSectionsAreNamed) {
  const Bytes raw = encode_manifest(sample_manifest());
  const std::size_t last = section_at(raw, 5);
  const Bytes four(raw.begin(), raw.begin() + static_cast<std::ptrdiff_t>(last));
  EXPECT_CONTAINS(error_of(ErrorCode::corrupt, [&] { decode_manifest(four); }), "only 4 of 5");
  Bytes twice = raw;
  twice.insert(twice.end(), raw.begin() + static_cast<std::ptrdiff_t>(last), raw.end());
  EXPECT_CONTAINS(error_of(ErrorCode::corrupt, [&] { decode_manifest(twice); }),
                  "section 5: follows section 5");
}

TEST(Manifest, CountsThatTheBytesCannotJustifyAreRefusedBeforeAllocation) {
  const Bytes raw = encode_manifest(sample_manifest());
  for (const unsigned section : {3u, 4u, 5u}) {
    const std::size_t counts = section_at(raw, section) + 16;
    const std::size_t fields = section == 5 ? 4 : 2;
    for (std::size_t field = 0; field < fields; ++field) {
      const Bytes bad = replaced(raw, counts + 4 * field, 0xffffffff, 4);
      EXPECT_CONTAINS(error_of(ErrorCode::corrupt, [&] { decode_manifest(bad); }),
                      "its counts ask for");
    }
  }
  const Bytes bad = replaced(raw, section_at(raw, 4) + 8, 0xffffffffffffffff, 8);
  error_of(ErrorCode::corrupt, [&] { decode_manifest(bad); });
}

TEST(Manifest, ColumnsThatDoNotFitTogetherAreNamed) {
  const Bytes raw = encode_manifest(sample_manifest());
  const auto message = [&](std::size_t at, std::uint64_t value, std::size_t width) {
    const Bytes bad = replaced(raw, at, value, width);
    return error_of(ErrorCode::corrupt, [&] { decode_manifest(bad); });
  };
  const std::size_t references = section_at(raw, 3) + 16;
  EXPECT_CONTAINS(message(references + 8, 0xff, 1), "pack uuids are nil, repeat or do not rise");
  EXPECT_CONTAINS(message(references + 8 + 32, 3, 4), "pack is 3, there are 2");
  const std::size_t storages = section_at(raw, 4) + 16;
  EXPECT_CONTAINS(message(storages + 8 + 24, 9, 4), "piece counts add up to more than 3");
  EXPECT_CONTAINS(message(storages + 8 + 24, 0, 4), "piece counts add up to 2, expected 3");
  const std::size_t tensors = section_at(raw, 5) + 16;
  EXPECT_CONTAINS(message(tensors + 16, 0xffff, 4), "entry 0: name end is");
  const std::size_t names = 10 + 11 + 12 + 12;
  const std::size_t ranks = tensors + 16 + 16 + names + 4 * (2 + 2 + 4 + 8);
  EXPECT_CONTAINS(message(ranks, 64, 1), "ranks add up to more");
  EXPECT_CONTAINS(message(ranks, 0, 1), "ranks add up to fewer");
  EXPECT_CONTAINS(message(ranks + 4, 1, 1), "shards have more dimensions");
  EXPECT_CONTAINS(message(ranks + 4, 2, 1), "model/bias: has_global is 2 at rank 1");
  EXPECT_CONTAINS(message(ranks + 4 + 2, 1, 1), "model/scalar: has_global is 1 at rank 0");
}

TEST(Manifest, UnknownDtypesAndFlagsAreNewerWhenRead) {
  const Bytes raw = encode_manifest(sample_manifest());
  const std::size_t dtypes = section_at(raw, 5) + 16 + 16 + 16 + (10 + 11 + 12 + 12);
  EXPECT_CONTAINS(
      error_of(ErrorCode::newer_format, [&] { decode_manifest(replaced(raw, dtypes, 500, 2)); }),
      "(model/bias): dtype 500 is not known");
  EXPECT_CONTAINS(
      error_of(ErrorCode::newer_format, [&] { decode_manifest(replaced(raw, dtypes + 8, 16, 2)); }),
      "flags are 0x10");
}

TEST(Manifest, AnUnknownKindOfDifferenceIsNewerWhenRead) {
  const Bytes raw = encode_manifest(differing_manifest());
  EXPECT_CONTAINS(error_of(ErrorCode::newer_format,
                           [&] { decode_manifest(replaced(raw, raw.size() - 1, 5, 1)); }),
                  "section differences, entry 2: kind 5 is not known to this version");
}

// Broken by one change each; what is 3 bytes in the middle makes the rest odd.
TEST(Manifest, DerivedPiecesKeepTheirRules) {
  const std::vector<Rule> all{
      {"section derived, entry 2: storage is 5, there are 5",
       [](Manifest& m) { m.derived[2].storage = 5; }},
      {"section derived, entry 1: piece is 4, storage 3 has 4",
       [](Manifest& m) { m.derived[1].piece = 4; }},
      {"section derived, entry 1: piece 1 of storage 3 has a chunk",
       [](Manifest& m) { m.derived[1].piece = 1; }},
      {"section derived, entry 1: storages and pieces do not rise",
       [](Manifest& m) { m.derived[1] = m.derived[0]; }},
      {"section derived, entry 1: storages and pieces do not rise",
       [](Manifest& m) { std::swap(m.derived[0], m.derived[1]); }},
      {"section storages, entry 3: piece 2: reference is 4294967295, there are 3",
       [](Manifest& m) { m.derived.erase(m.derived.begin() + 1); }},
      {"section storages, entry 4: piece 0: reference is 4294967295",
       [](Manifest& m) { m.derived.pop_back(); }},
      {"section derived, entry 0: source is 5, there are 5",
       [](Manifest& m) { m.derived[0].source = 5; }},
      {"section derived, entry 2: needs 100 bytes of storage 1, which has 96",
       [](Manifest& m) { m.derived[2].source = 1; }},
      {"section derived, entry 1: needs 96 bytes of storage 2, which has 0",
       [](Manifest& m) { m.derived[1].source = 2; }},
      {"section derived, entry 0: its source, storage 3, is derived itself",
       [](Manifest& m) { m.derived[0].source = 3; }},
      {"section derived, entry 0: its source, storage 4, is derived itself",
       [](Manifest& m) { m.derived[0].source = 4; }},
      {"section derived, entry 0: rounding 0 is not known",
       [](Manifest& m) { m.derived[0].rounding = static_cast<Rounding>(0); }},
      {"section derived, entry 0: rounding 3 is not known",
       [](Manifest& m) { m.derived[0].rounding = static_cast<Rounding>(3); }},
      {"section derived, entry 0: a piece of 9 bytes at 0, offset 0, holds no whole elements",
       [](Manifest& m) { m.storages[3].pieces[0].length = 9; }},
      {"section derived, entry 1: a piece of 18 bytes at 29, offset 0, holds no whole elements",
       [](Manifest& m) { m.storages[3].pieces[1].length = 19; }},
      {"section derived, entry 0: a piece of 0 bytes",
       [](Manifest& m) { m.storages[3].pieces[0].length = 0; }},
      {"section derived, entry 0: a piece of 10 bytes at 0, offset 2",
       [](Manifest& m) { m.storages[3].pieces[0].offset = 2; }},
      {"or more than 67108864 bytes",
       [](Manifest& m) { m.storages[3].pieces[0].length = limits::chunk_raw_size + 2; }},
      {"section storages, entry 3: size is 61, its pieces hold 60",
       [](Manifest& m) { m.storages[3].size = 61; }},
      {"section differences, entry 3: piece 2 of storage 3 is derived",
       [](Manifest& m) {
         m.differences.push_back({3, 2, 0, DifferenceKind::exclusive_or});
       }},
  };
  for (const Rule& rule : all) {
    Manifest manifest = derived_manifest();
    rule.break_it(manifest);
    EXPECT_CONTAINS(error_of(ErrorCode::invalid_argument, [&] { encode_manifest(manifest); }),
                    rule.message);
  }
}

TEST(Manifest, AnUnknownRoundingIsNewerWhenRead) {
  Manifest manifest = derived_manifest();
  manifest.patches = {};
  manifest.differences = {};
  const Bytes raw = encode_manifest(manifest);
  EXPECT_CONTAINS(error_of(ErrorCode::newer_format,
                           [&] { decode_manifest(replaced(raw, raw.size() - 1, 3, 1)); }),
                  "section derived, entry 2: rounding 3 is not known to this version");
}

TEST(Manifest, CutAtEveryLengthAndFlippedAnywhereIsAnErrorOrAManifest) {
  const Bytes raw = encode_manifest(derived_manifest());
  Manifest less = derived_manifest();
  less.differences = {};
  const std::size_t without_differences = encode_manifest(less).size();
  less.patches = {};
  const std::size_t without_patches = encode_manifest(less).size();
  for (std::size_t size = 0; size < raw.size(); ++size) {
    if (size == without_patches || size == without_differences) continue;  // another one
    const auto part = std::span(raw).first(size);
    EXPECT_THROW(decode_manifest(part), Error) << size;
  }
  std::mt19937_64 random(test::seed(23));
  for (std::size_t i = 0; i < raw.size() * 8; ++i) {
    Bytes bad = raw;
    bad[i / 8] ^= static_cast<std::byte>(1u << (i % 8));
    if (i % 3 == 0) bad[random() % bad.size()] = std::byte{0xff};
    try {
      decode_manifest(bad);
    } catch (const Error&) {
    }
  }
}

}  // namespace
}  // namespace ckp::format
