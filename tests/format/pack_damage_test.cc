// Truncation, flipped bytes, and packs within packs: an error or the exact data, never else.
#include <gtest/gtest.h>

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

// Small, with each codec and more than one tensor.
Bytes small_pack(unsigned char id = 0x11) {
  std::mt19937_64 random(5);
  PackBuilder builder({.uuid = uuid_of(id)});
  builder.add("constant", Bytes(300));
  builder.add("planes", test::weights(random, 200));
  builder.add("raw", test::random_bytes(random, 150));
  builder.manifest().checkpoint["epoch"] = 1;
  return builder.finish();
}

bool is_in(const Bytes& wanted, const std::vector<Bytes>& all) {
  return std::find(all.begin(), all.end(), wanted) != all.end();
}

// Chunks that a scan finds, each checked: they must be chunks of the undamaged pack.
std::size_t count_scanned(const Bytes& file, const std::vector<Bytes>& expected) {
  const MemorySource source(file);
  const auto directory = scan_directory(source);
  EXPECT_TRUE(directory.scanned);
  for (const auto& entry : directory.chunks) {
    EXPECT_TRUE(is_in(test::read_chunk_bytes(source, directory, entry), expected));
  }
  return directory.chunks.size();
}

TEST(PackDamage, TruncationAtEveryLengthIsReported) {
  const Bytes good = small_pack();
  const auto contents = test::read_everything(good);
  const auto directory = read_directory(MemorySource(good));
  for (std::size_t size = 0; size < good.size(); ++size) {
    const Bytes cut(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size));
    const auto message = error_of(ErrorCode::corrupt, [&] { read_directory(MemorySource(cut)); });
    EXPECT_CONTAINS(message, "test.ckp: ");
    if (size < PackHeader::size) {
      error_of(ErrorCode::corrupt, [&] { scan_directory(MemorySource(cut)); });
      continue;
    }
    std::size_t whole = 0;
    for (const auto& entry : directory.chunks) {
      if (entry.offset + RecordHeader::size + entry.stored_size <= size) ++whole;
    }
    EXPECT_EQ(count_scanned(cut, contents.chunks), whole) << "cut at " << size;
  }
}

TEST(PackDamage, EveryFlippedByteIsReportedOrHarmless) {
  const Bytes good = small_pack();
  const auto contents = test::read_everything(good);
  std::size_t harmless = 0;
  for (std::size_t at = 0; at < good.size(); ++at) {
    for (const unsigned flip : {0x01u, 0x80u, 0xffu}) {
      Bytes bad = good;
      bad[at] ^= static_cast<std::byte>(flip);
      try {
        const auto found = test::read_everything(bad);
        // Padding, or one of the two manifests.
        EXPECT_EQ(found.chunks, contents.chunks) << "byte " << at;
        EXPECT_EQ(found.manifests, contents.manifests) << "byte " << at;
        if (found.damage.empty()) ++harmless;
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::corrupt) << error.what();
      }
    }
  }
  // Only padding may go unnoticed here: at most 63 bytes after each of 7 records.
  EXPECT_LT(harmless, 3u * 7u * 64u);
}

TEST(PackDamage, AScanRecoversAllUndamagedChunks) {
  const Bytes good = small_pack();
  const auto contents = test::read_everything(good);
  const auto directory = read_directory(MemorySource(good));
  for (std::size_t at = 0; at < good.size(); ++at) {
    Bytes bad = good;
    bad[at] ^= std::byte{0x10};
    std::size_t undamaged = 0;
    for (const auto& entry : directory.chunks) {
      const std::size_t end = entry.offset + RecordHeader::size + entry.stored_size;
      if (at < entry.offset || at >= end) ++undamaged;
    }
    EXPECT_EQ(count_scanned(bad, contents.chunks), undamaged) << "byte " << at;
  }
}

TEST(PackDamage, AScanSaysWhatIsMissingAndReadsTheManifest) {
  Bytes file = small_pack();
  const auto contents = test::read_everything(file);
  const auto directory = read_directory(MemorySource(file));
  file[directory.chunks[1].offset + RecordHeader::size] ^= std::byte{1};  // payload
  file[directory.chunks[2].offset + 20] ^= std::byte{1};                  // header
  file[file.size() - 60] ^= std::byte{1};                                 // trailer
  const MemorySource source(file);
  const auto scanned = scan_directory(source);
  EXPECT_EQ(scanned.chunks.size(), 1u);
  EXPECT_EQ(scanned.manifests.size(), 2u);
  EXPECT_EQ(read_manifest(source, scanned), contents.manifests[0]);
  const std::string all = [&] {
    std::string text;
    for (const auto& line : scanned.damage) text += line + "\n";
    return text;
  }();
  EXPECT_CONTAINS(all, "chunk 1 at offset");
  EXPECT_CONTAINS(all, "pack trailer: header checksum");
  // With a good trailer the table names what is missing altogether.
  file[file.size() - 60] ^= std::byte{1};
  const auto with_table = scan_directory(MemorySource(file));
  EXPECT_CONTAINS(with_table.damage.back(), "chunk 2 at offset");
  EXPECT_CONTAINS(with_table.damage.back(), "in the table, but not readable");
}

TEST(PackDamage, AScanGoesByTheTrailerWhenTheHeaderIsGone) {
  Bytes file = small_pack();
  const auto contents = test::read_everything(file);
  std::fill(file.begin(), file.begin() + 128, std::byte{0});
  EXPECT_EQ(count_scanned(file, contents.chunks), 3u);
  std::fill(file.end() - 128, file.end(), std::byte{0});
  EXPECT_CONTAINS(error_of(ErrorCode::corrupt, [&] { scan_directory(MemorySource(file)); }),
                  "neither header nor trailer is readable");
}

TEST(PackDamage, APackWithinAChunkIsNotTakenForRecords) {
  const Bytes inner = small_pack(0x22);
  // Also one with the same uuid, as a tensor that holds an earlier copy of the same file.
  const Bytes twin = small_pack(0x11);
  PackBuilder builder({.uuid = uuid_of(0x11)});
  builder.add("inner", inner, 1, Compression::none);
  builder.add("twin", twin, 1, Compression::none);
  builder.add("last", bytes_of("abc"));
  Bytes file = builder.finish();
  const std::vector<Bytes> expected{inner, twin, bytes_of("abc")};
  EXPECT_EQ(count_scanned(file, expected), 3u);
  // The same when the outer records are damaged, so that the scan walks through the inner packs.
  const auto directory = read_directory(MemorySource(file));
  for (int i = 0; i < 2; ++i)
    file[directory.chunks[static_cast<std::size_t>(i)].offset + 9] ^= std::byte{1};
  EXPECT_EQ(count_scanned(file, expected), 1u);
}

TEST(PackDamage, ATruncationThatEndsInAnInnerPackIsNoticed) {
  const Bytes inner = small_pack(0x22);
  PackBuilder builder({.uuid = uuid_of(0x11)});
  builder.add("inner", inner, 1, Compression::none);
  Bytes file = builder.finish();
  const auto directory = read_directory(MemorySource(file));
  file.resize(directory.chunks[0].offset + RecordHeader::size + inner.size());
  EXPECT_CONTAINS(error_of(ErrorCode::corrupt, [&] { read_directory(MemorySource(file)); }),
                  "belongs to pack 2222");
}

// A file with a sector that cannot be read.
class BadSector : public MemorySource {
 public:
  BadSector(Bytes bytes, std::uint64_t begin, std::uint64_t end)
      : MemorySource(std::move(bytes)), begin_(begin), end_(end) {}
  void read(std::uint64_t offset, std::span<std::byte> out) const override {
    if (offset < end_ && offset + out.size() > begin_) throw Error(ErrorCode::io, "bad sector");
    MemorySource::read(offset, out);
  }

 private:
  std::uint64_t begin_;
  std::uint64_t end_;
};

TEST(PackDamage, AScanGoesOnAfterABadSector) {
  std::mt19937_64 random(9);
  PackBuilder builder;
  std::vector<Bytes> raws;
  for (int i = 0; i < 20; ++i) {
    raws.push_back(test::random_bytes(random, 4000));
    builder.add("t" + std::to_string(i), raws.back());
  }
  const Bytes file = builder.finish();
  const BadSector source(file, 40960, 40960 + 512);
  const auto scanned = scan_directory(source);
  EXPECT_GE(scanned.chunks.size(), 17u);
  EXPECT_LT(scanned.chunks.size(), 20u);
  for (const auto& entry : scanned.chunks) {
    EXPECT_EQ(test::read_chunk_bytes(source, scanned, entry), raws[entry.number]);
  }
  EXPECT_EQ(scanned.manifests.size(), 2u);
  EXPECT_FALSE(scanned.damage.empty());
}

TEST(PackDamage, RandomDamageNeverYieldsOtherData) {
  std::mt19937_64 random(test::seed(41));
  const Bytes good = small_pack();
  const auto contents = test::read_everything(good);
  for (int round = 0; round < 3000; ++round) {
    Bytes bad = good;
    const std::size_t begin = random() % bad.size();
    const std::size_t size = 1 + random() % 300;
    for (std::size_t i = begin; i < std::min(bad.size(), begin + size); ++i) {
      bad[i] = round % 2 == 0 ? std::byte{0} : static_cast<std::byte>(random() & 0xff);
    }
    try {
      EXPECT_EQ(test::read_everything(bad).chunks, contents.chunks);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::corrupt) << error.what();
    }
    try {
      count_scanned(bad, contents.chunks);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::corrupt) << error.what();
    }
  }
}

}  // namespace
}  // namespace ckp::format
