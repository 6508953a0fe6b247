#include "ckp/format/pack.h"

#include <gtest/gtest.h>

#include "ckp/format/limits.h"
#include "pack_support.h"
#include "support/seed.h"

namespace ckp::format {
namespace {

using test::Bytes;
using test::bytes_of;
using test::error_of;
using test::MemorySource;
using test::PackBuilder;
using test::uuid_of;

std::size_t find_last(const Bytes& file, std::string_view text) {
  const Bytes wanted = bytes_of(text);
  const auto found = std::find_end(file.begin(), file.end(), wanted.begin(), wanted.end());
  return static_cast<std::size_t>(found - file.begin());
}

TEST(Pack, RoundTripsEveryCodecAndSize) {
  std::mt19937_64 random(test::seed(31));
  PackBuilder builder;
  const std::vector<Bytes> raws{
      Bytes(5000),   test::weights(random, 5000),   test::random_bytes(random, 3000), {},
      bytes_of("x"), test::random_bytes(random, 64)};
  for (std::size_t i = 0; i < raws.size(); ++i) {
    EXPECT_EQ(builder.add("t" + std::to_string(i), raws[i]), i);
  }
  builder.manifest().checkpoint["epoch"] = 4;
  const Bytes file = builder.finish();
  const MemorySource source(file);
  const auto directory = read_directory(source);
  EXPECT_EQ(directory.header.uuid, uuid_of(0x11));
  EXPECT_FALSE(directory.scanned);
  EXPECT_EQ(directory.file_size, file.size());
  ASSERT_EQ(directory.chunks.size(), raws.size());
  EXPECT_EQ(directory.chunks[0].codec, Codec::constant);
  EXPECT_EQ(directory.chunks[1].codec, Codec::planes);
  EXPECT_EQ(directory.chunks[2].codec, Codec::raw);
  for (std::size_t i = 0; i < raws.size(); ++i) {
    EXPECT_EQ(test::read_chunk_bytes(source, directory, directory.chunks[i]), raws[i]);
    EXPECT_EQ(read_record(source, directory, directory.chunks[i]).header.number, i);
  }
  ASSERT_EQ(directory.manifests.size(), 2u);
  std::vector<std::string> damage;
  const auto manifest = read_manifest(source, directory, 0, &damage);
  EXPECT_EQ(manifest, builder.manifest());
  EXPECT_TRUE(damage.empty());
}

TEST(Pack, PayloadsAreAlignedAndPaddingIsZero) {
  for (const int log2 : {6, 9, 12}) {
    PackBuilder builder({.alignment_log2 = static_cast<std::uint8_t>(log2), .uuid = uuid_of(1)});
    for (int i = 0; i < 5; ++i) builder.add("t" + std::to_string(i), bytes_of("abc"));
    const Bytes file = builder.finish();
    const MemorySource source(file);
    const auto directory = read_directory(source);
    for (const auto& entry : directory.chunks) {
      EXPECT_EQ((entry.offset + RecordHeader::size) % (std::uint64_t{1} << log2), 0u);
      const std::size_t end = entry.offset + RecordHeader::size + entry.stored_size;
      for (std::size_t i = end; i < align_up(end, 64); ++i) EXPECT_EQ(file[i], std::byte{0});
    }
    EXPECT_EQ(file.size() % (std::size_t{1} << log2), 0u);
  }
}

TEST(Pack, ManifestsStandAroundTheTable) {
  PackBuilder builder;
  builder.add("t", bytes_of("abc"));
  const Bytes file = builder.finish();
  const MemorySource source(file);
  const auto directory = read_directory(source);
  const auto trailer = decode_pack_trailer(std::span(file).last(PackTrailer::size));
  EXPECT_LT(directory.manifests[0].offset, trailer.table_offset);
  EXPECT_GT(directory.manifests[1].offset, trailer.table_offset);
}

TEST(Pack, SeveralManifestsOrNone) {
  Bytes file;
  const auto sink = [&](std::span<const std::byte> b) {
    file.insert(file.end(), b.begin(), b.end());
  };
  PackWriter empty(sink, {.uuid = uuid_of(1)});
  empty.finish({});
  EXPECT_EQ(empty.size(), file.size());
  const MemorySource none(file);
  EXPECT_CONTAINS(
      error_of(ErrorCode::not_found, [&] { read_manifest(none, read_directory(none)); }),
      "test.ckp: has no manifest 0");

  file.clear();
  PackWriter writer(sink, {.uuid = uuid_of(1)});
  std::vector<Manifest> manifests(3);
  for (int i = 0; i < 3; ++i) manifests[static_cast<std::size_t>(i)].checkpoint["epoch"] = i;
  writer.finish(manifests);
  const MemorySource source(file);
  const auto directory = read_directory(source);
  for (std::uint32_t i = 0; i < 3; ++i) {
    EXPECT_EQ(read_manifest(source, directory, i), manifests[i]);
  }
}

TEST(Pack, NumbersMayHaveGapsWhenRewritten) {
  Bytes file;
  PackWriter writer(
      [&](std::span<const std::byte> b) { file.insert(file.end(), b.begin(), b.end()); },
      {.uuid = uuid_of(1), .generation = 1});
  const Bytes raw = bytes_of("abcd");
  writer.add_chunk_as(3, digest_of(raw), 4, Codec::raw, raw);
  writer.add_chunk_as(9, digest_of(raw), 4, Codec::raw, raw);
  EXPECT_EQ(writer.add_chunk(digest_of(raw), 4, Codec::raw, raw), 10u);
  EXPECT_CONTAINS(error_of(ErrorCode::invalid_argument,
                           [&] { writer.add_chunk_as(10, digest_of(raw), 4, Codec::raw, raw); }),
                  "chunk number 10, expected 11 or more");
  writer.finish({});
  const MemorySource source(file);
  const auto directory = read_directory(source);
  EXPECT_EQ(directory.header.generation, 1u);
  ASSERT_NE(directory.find_chunk(9), nullptr);
  EXPECT_EQ(test::read_chunk_bytes(source, directory, *directory.find_chunk(9)), raw);
  EXPECT_EQ(directory.find_chunk(4), nullptr);
  EXPECT_EQ(directory.find_chunk(11), nullptr);
}

TEST(Pack, TheWriterRefusesWhatCannotBeRead) {
  PackWriter writer([](std::span<const std::byte>) {}, {.uuid = uuid_of(1)});
  const auto refused = [&](Codec codec, std::uint32_t raw_size, const Bytes& stored) {
    return error_of(ErrorCode::invalid_argument,
                    [&] { writer.add_chunk({}, raw_size, codec, stored); });
  };
  EXPECT_CONTAINS(refused(Codec::raw, 3, Bytes(2)), "2 stored bytes for 3 raw bytes, codec raw");
  EXPECT_CONTAINS(refused(Codec::constant, 3, Bytes(2)), "codec constant");
  EXPECT_CONTAINS(refused(Codec::planes, 3, Bytes(4)), "codec planes");
  EXPECT_CONTAINS(refused(Codec::delta, 3, Bytes(3)), "codec delta is reserved");
  EXPECT_CONTAINS(refused(Codec::constant, limits::chunk_raw_size + 1, Bytes(1)), "67108865");
  Manifest manifest;
  manifest.references = {{{{}, 0}, {}, 1}};
  const std::vector<Manifest> one{manifest};
  EXPECT_CONTAINS(error_of(ErrorCode::invalid_argument, [&] { writer.finish(one); }),
                  "refers to chunk 0, which is not in this pack");
  const std::vector<Manifest> external{
      {.checkpoint = {}, .values = {}, .references = {{{uuid_of(2), 0}, {}, 1}}}};
  EXPECT_CONTAINS(error_of(ErrorCode::invalid_argument, [&] { writer.finish(external); }),
                  "or refers to other packs, and the header does not say so");
  Manifest patched;
  patched.storages.push_back({8, {{0, 0, 8}}});
  patched.references = {{{{}, 0}, {}, 8}};
  patched.patches = {{0, 0, 0, 8}};
  PackWriter whole([](std::span<const std::byte>) {}, {.uuid = uuid_of(1)});
  whole.add_chunk({}, 8, Codec::raw, Bytes(8));
  EXPECT_CONTAINS(
      error_of(ErrorCode::invalid_argument, [&] { whole.finish(std::span(&patched, 1)); }),
      "or refers to other packs, and the header does not say so");
  Manifest differing = patched;
  differing.patches = {};
  differing.differences = {{0, 0, 0, DifferenceKind::exclusive_or}};
  EXPECT_CONTAINS(
      error_of(ErrorCode::invalid_argument, [&] { whole.finish(std::span(&differing, 1)); }),
      "or refers to other packs, and the header does not say so");
  Manifest derived = patched;
  derived.patches = {};
  derived.storages.push_back({4, {{no_reference, 0, 4}}});
  derived.derived = {{1, 0, 0, Rounding::bfloat16}};
  EXPECT_CONTAINS(
      error_of(ErrorCode::invalid_argument, [&] { whole.finish(std::span(&derived, 1)); }),
      "or refers to other packs, and the header does not say so");
  writer.finish({});
  EXPECT_CONTAINS(error_of(ErrorCode::invalid_argument, [&] { writer.finish({}); }), "before");
  EXPECT_CONTAINS(refused(Codec::raw, 1, Bytes(1)), "after finish()");
}

TEST(Pack, ExternalReferencesAreAFeatureExactlyWhenUsed) {
  const PackHeader header{.may_use = {0, 0, feature::external_references}, .uuid = uuid_of(1)};
  PackBuilder own(header);
  own.add("t", bytes_of("abc"));
  own.manifest().references[0].address.pack = uuid_of(1);  // its own uuid, spelled out
  const MemorySource own_source(own.finish());
  const auto own_directory = read_directory(own_source);
  EXPECT_EQ(own_directory.uses.refuse, 0u);
  EXPECT_TRUE(read_manifest(own_source, own_directory).references[0].address.pack.is_nil());

  PackBuilder other(header);
  other.add_tensor("t", {uuid_of(2), 7}, bytes_of("abc"));
  const MemorySource source(other.finish());
  const auto directory = read_directory(source);
  EXPECT_EQ(directory.uses.refuse, feature::external_references);
  EXPECT_EQ(read_manifest(source, directory).references[0].address, (ChunkAddress{uuid_of(2), 7}));
}

// Rewrites the trailer of a pack with other features.
Bytes with_uses(Bytes file, const Features& uses) {
  auto trailer = decode_pack_trailer(std::span(file).last(PackTrailer::size));
  trailer.uses = uses;
  const auto bytes = encode_pack_trailer(trailer);
  std::copy(bytes.begin(), bytes.end(), file.end() - PackTrailer::size);
  return file;
}

TEST(Pack, ThreeKindsOfUnknownFeatures) {
  PackBuilder builder;
  builder.add("t", bytes_of("abc"));
  const Bytes file = builder.finish();
  const std::uint64_t unknown = std::uint64_t{1} << 50;

  const MemorySource ignored(with_uses(file, {unknown, 0, 0}));
  const auto directory = read_directory(ignored);
  EXPECT_TRUE(check_readable(directory.header.versions, directory.uses, "pack"));

  const MemorySource read_only(with_uses(file, {0, unknown, 0}));
  const auto restricted = read_directory(read_only);
  EXPECT_FALSE(check_readable(restricted.header.versions, restricted.uses, "pack"));
  EXPECT_EQ(test::read_chunk_bytes(read_only, restricted, restricted.chunks[0]), bytes_of("abc"));

  const MemorySource refused(with_uses(file, {0, 0, unknown}));
  const auto message = error_of(ErrorCode::newer_format, [&] { read_directory(refused); });
  EXPECT_CONTAINS(message, "test.ckp: pack trailer: uses a feature");
  EXPECT_CONTAINS(message, "bit 50");
  error_of(ErrorCode::newer_format, [&] { scan_directory(refused); });
}

TEST(Pack, ReadChunkChecksTheBufferAndTheDigest) {
  PackBuilder builder;
  builder.add("t", bytes_of("0123456789"));
  Bytes file = builder.finish();
  const MemorySource source(file);
  const auto directory = read_directory(source);
  Bytes small(9);
  EXPECT_CONTAINS(error_of(ErrorCode::invalid_argument,
                           [&] { read_chunk(source, directory, directory.chunks[0], small); }),
                  "has 10 bytes, asked for 9");
  const std::size_t offset = directory.chunks[0].offset;
  file[offset + RecordHeader::size + 3] ^= std::byte{1};
  const MemorySource damaged(file);
  Bytes out(10);
  const auto raw = error_of(ErrorCode::corrupt,
                            [&] { read_chunk(damaged, directory, directory.chunks[0], out); });
  EXPECT_CONTAINS(raw,
                  "test.ckp: chunk 0 at offset " + std::to_string(offset) + ": raw digest is ");
  EXPECT_CONTAINS(raw, "expected " + directory.chunks[0].raw_digest.hex());
  EXPECT_CONTAINS(
      error_of(ErrorCode::corrupt, [&] { read_record(damaged, directory, directory.chunks[0]); }),
      "stored checksum is ");
}

TEST(Pack, AnEntryOfAnotherRecordIsNoticed) {
  PackBuilder builder;
  builder.add("a", bytes_of("0123456789"));
  builder.add("b", bytes_of("abcdefghij"));
  const MemorySource source(builder.finish());
  const auto directory = read_directory(source);
  auto entry = directory.chunks[0];
  entry.offset = directory.chunks[1].offset;
  Bytes out(10);
  EXPECT_CONTAINS(error_of(ErrorCode::corrupt, [&] { read_chunk(source, directory, entry, out); }),
                  "number is 1, the chunk table says 0");
}

TEST(Pack, ADamagedManifestIsReadFromItsOtherCopy) {
  PackBuilder builder;
  builder.add("t", bytes_of("abc"));
  const Bytes good = builder.finish();
  const auto directory = read_directory(MemorySource(good));
  for (std::size_t copy = 0; copy < 2; ++copy) {
    Bytes file = good;
    file[directory.manifests[copy].offset + RecordHeader::size + 5] ^= std::byte{0x40};
    const MemorySource source(file);
    EXPECT_EQ(read_manifest(source, directory), builder.manifest());
    std::vector<std::string> damage;
    EXPECT_EQ(read_manifest(source, directory, 0, &damage), builder.manifest());
    ASSERT_EQ(damage.size(), 1u);
    EXPECT_CONTAINS(damage[0], "test.ckp: manifest 0 (copy " + std::to_string(copy) + ")");
  }
  Bytes file = good;
  for (const auto& entry : directory.manifests) file[entry.offset + 60] ^= std::byte{1};
  const MemorySource source(file);
  const auto message = error_of(ErrorCode::corrupt, [&] { read_manifest(source, directory); });
  EXPECT_CONTAINS(message, "no readable copy of manifest 0");
  EXPECT_CONTAINS(message, "(copy 1)");
}

TEST(Pack, SwappedTrailersAreNoticed) {
  PackBuilder a({.uuid = uuid_of(1)});
  PackBuilder b({.uuid = uuid_of(2)});
  PackBuilder c({.uuid = uuid_of(1), .generation = 1});
  for (auto* builder : {&a, &b, &c}) builder->add("t", bytes_of("abc"));
  Bytes file = a.finish();
  for (auto* builder : {&b, &c}) {
    const Bytes other = builder->finish();
    Bytes mixed = file;
    std::copy(other.end() - 128, other.end(), mixed.end() - 128);
    EXPECT_CONTAINS(error_of(ErrorCode::corrupt, [&] { read_directory(MemorySource(mixed)); }),
                    "pack trailer: belongs to pack");
  }
  Bytes longer = file;
  longer.insert(longer.begin() + 128, 64, std::byte{0});
  EXPECT_CONTAINS(error_of(ErrorCode::corrupt, [&] { read_directory(MemorySource(longer)); }),
                  "file_size is");
  EXPECT_EQ(find_last(file, "CKE"), file.size() - 127);
}

}  // namespace
}  // namespace ckp::format
