// Files of released versions, read by today's code: contents and refusals.
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <iterator>

#include "ckp/format/difference.h"
#include "ckp/format/journal_record.h"
#include "ckp/format/patch.h"
#include "ckp/format/rounding.h"
#include "ckp/format/store_identity.h"
#include "pack_support.h"

namespace ckp::format {
namespace {

using test::Bytes;
using test::error_of;
using test::MemorySource;

Bytes load(const std::string& name) {
  std::ifstream in(std::string(CKP_SOURCE_DIR) + "/tests/golden/v1/" + name, std::ios::binary);
  EXPECT_TRUE(in) << name;
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  return test::bytes_of(text);
}

// 00 01 02 ... 0e `last`, as the generator makes them.
Uuid golden_uuid(unsigned char last) {
  Uuid uuid;
  for (std::size_t i = 0; i < 15; ++i) uuid.bytes[i] = static_cast<std::byte>(i);
  uuid.bytes[15] = static_cast<std::byte>(last);
  return uuid;
}

// A golden pack with everything read.
struct Golden {
  explicit Golden(const std::string& name)
      : source(load(name)),
        directory(read_directory(source)),
        manifest(read_manifest(source, directory)) {}

  Bytes storage(const TensorEntry& tensor) const { return storage(tensor.storage); }
  Bytes storage(std::uint32_t number) const {
    Bytes bytes;
    const auto& pieces = manifest.storages.at(number).pieces;
    for (std::uint32_t i = 0; i < pieces.size(); ++i) {
      const StoragePiece& piece = pieces[i];
      if (piece.reference == no_reference) {
        const Bytes derived = derived_bytes(number, i, bytes.size(), piece.length);
        bytes.insert(bytes.end(), derived.begin(), derived.end());
        continue;
      }
      const auto& reference = manifest.references.at(piece.reference);
      const auto* entry = directory.find_chunk(reference.address.number);
      EXPECT_NE(entry, nullptr);
      if (entry == nullptr) return {};
      const Bytes chunk = test::read_chunk_bytes(source, directory, *entry);
      const auto from = chunk.begin() + piece.offset;
      bytes.insert(bytes.end(), from, from + piece.length);
    }
    for (const Difference& difference : manifest.differences) {
      if (difference.storage == number) change(bytes, difference);
    }
    for (const Patch& patch : manifest.patches) {
      if (patch.storage == number) overwrite(bytes, patch, patch_chunk(patch));
    }
    return bytes;
  }
  Bytes derived_bytes(std::uint32_t number, std::uint32_t piece, std::size_t begin,
                      std::size_t length) const {
    const auto found = std::ranges::find_if(manifest.derived, [&](const DerivedPiece& each) {
      return each.storage == number && each.piece == piece;
    });
    Bytes bytes(length);
    const Bytes source_bytes = storage(found->source);
    round_floats(found->rounding, std::span(source_bytes).subspan(2 * begin, 2 * length), bytes);
    return bytes;
  }
  Bytes patch_chunk(const Patch& patch) const { return chunk_of(patch.reference); }
  Bytes chunk_of(std::uint32_t number) const {
    const auto& reference = manifest.references.at(number);
    return test::read_chunk_bytes(source, directory,
                                  *directory.find_chunk(reference.address.number));
  }
  // Written from the specification: number by number.
  void change(Bytes& storage, const Difference& difference) const {
    const auto& pieces = manifest.storages.at(difference.storage).pieces;
    std::size_t begin = 0;
    for (std::size_t i = 0; i < difference.piece; ++i) begin += pieces.at(i).length;
    const Bytes raw = chunk_of(difference.reference);
    const std::size_t element = std::size_t{1} << (static_cast<unsigned>(difference.kind) - 1);
    const std::size_t whole = element == 1 ? 0 : raw.size() / element * element;
    for (std::size_t at = 0; at < whole; at += element) {
      const unsigned bits = 8 * static_cast<unsigned>(element);
      const std::uint64_t all = ~std::uint64_t{0} >> (64 - bits);
      std::uint64_t stored = 0, x = 0;
      std::memcpy(&stored, raw.data() + at, element);
      std::memcpy(&x, storage.data() + begin + at, element);
      x = ((x << 1) | (x >> (bits - 1))) & all;
      x = (x + (stored % 2 == 0 ? stored / 2 : ~(stored / 2))) & all;
      x = ((x >> 1) | (x << (bits - 1))) & all;
      std::memcpy(storage.data() + begin + at, &x, element);
    }
    for (std::size_t at = whole; at < raw.size(); ++at) storage.at(begin + at) ^= raw[at];
  }
  // Written from the specification: sizes, rows, and by how much each row's number is higher.
  static void overwrite(Bytes& storage, const Patch& patch, const Bytes& raw) {
    const auto number_at = [&](std::size_t at) {
      std::uint32_t number = 0;
      std::memcpy(&number, std::span(raw).subspan(at, 4).data(), 4);
      return number;
    };
    const std::size_t row_size = number_at(0), row_count = number_at(4);
    std::size_t row = 0, from = 8;
    for (std::size_t i = 0; i < row_count; ++i) {
      row += number_at(raw.size() - 4 * (row_count - i));
      for (std::size_t at = row * row_size; at < (row + 1) * row_size && at < patch.length; ++at) {
        storage.at(patch.begin + at) = raw.at(from++);
      }
    }
    EXPECT_EQ(from, raw.size() - 4 * row_count);
  }
  const TensorEntry& tensor(const std::string& name) const {
    const TensorEntry* found = manifest.find(name);
    if (found == nullptr) throw std::runtime_error("no tensor " + name);
    return *found;
  }
  template <class T>
  std::vector<T> elements(const std::string& name) const {
    const Bytes bytes = storage(tensor(name));
    std::vector<T> values(bytes.size() / sizeof(T));
    std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
  }

  MemorySource source;
  PackDirectory directory;
  Manifest manifest;
};

using Shape = std::vector<std::int64_t>;
using Words = std::vector<std::uint32_t>;

TEST(Golden, MinimalPack) {
  const Golden pack("minimal.ckp");
  EXPECT_EQ(pack.directory.header.uuid, golden_uuid(0xaa));
  EXPECT_EQ(pack.directory.uses, Features{});
  ASSERT_EQ(pack.manifest.tensors.size(), 2u);
  EXPECT_EQ(pack.manifest.checkpoint.at("epoch").as_int(), 1);
  EXPECT_EQ(pack.manifest.values.at("lr").as_double(), 0.5);
  EXPECT_EQ(pack.elements<std::uint32_t>("model/bias"), (Words{0, 0}));
  EXPECT_EQ(pack.elements<std::uint32_t>("model/weight"),
            (Words{0x3f800000, 0xc0000000, 0x3f000000, 0x7fc00001, 0x80000000, 1}));
  EXPECT_EQ(pack.tensor("model/weight").shape, (Shape{2, 3}));
  EXPECT_EQ(pack.tensor("model/weight").flags, tensor_flag::requires_grad);
}

TEST(Golden, EveryDtype) {
  const Golden pack("complete.ckp");
  std::uint16_t number = 1;
  for (; const auto dtype = dtype_from_number(number); ++number) {
    const auto& tensor = pack.tensor("dtype/" + std::string(to_string(*dtype)));
    EXPECT_EQ(tensor.dtype, *dtype);
    const Bytes bytes = pack.storage(tensor);
    ASSERT_EQ(bytes.size(), 4 * size_of(*dtype));
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      const std::size_t expected = number == 1 ? i % 2 : (number + 29 * i) & 0xff;
      EXPECT_EQ(std::to_integer<std::size_t>(bytes[i]), expected) << number << " byte " << i;
    }
  }
  EXPECT_GE(number, 22);
}

TEST(Golden, EveryCodec) {
  const Golden pack("complete.ckp");
  const auto codec_of = [&](const std::string& name) {
    const auto& storage = pack.manifest.storages[pack.tensor(name).storage];
    const auto& reference = pack.manifest.references[storage.pieces.at(0).reference];
    return pack.directory.find_chunk(reference.address.number)->codec;
  };
  EXPECT_EQ(codec_of("codec/constant"), Codec::constant);
  EXPECT_EQ(codec_of("codec/planes"), Codec::planes);
  EXPECT_EQ(codec_of("codec/raw"), Codec::raw);
  EXPECT_EQ(pack.elements<std::uint32_t>("codec/constant"), Words(1000));
  std::uint32_t state = 1;
  for (const std::uint32_t value : pack.elements<std::uint32_t>("codec/planes")) {
    state = state * 1664525u + 1013904223u;
    const std::uint32_t exponent = 118 + ((state >> 28) * (state >> 28)) / 32;
    ASSERT_EQ(value, (state & 0x807fffffu) | (exponent << 23));
  }
  const auto counting = pack.elements<std::uint8_t>("codec/raw");
  for (std::size_t i = 0; i < 256; ++i) EXPECT_EQ(counting.at(i), i);
}

TEST(Golden, SpecialTensors) {
  const Golden pack("complete.ckp");
  EXPECT_EQ(pack.elements<std::uint64_t>("special/scalar"),
            std::vector<std::uint64_t>{0x8000000000000000});
  EXPECT_TRUE(pack.tensor("special/scalar").shape.empty());
  EXPECT_EQ(pack.tensor("special/empty").shape, (Shape{0, 3}));
  EXPECT_EQ(pack.elements<std::uint32_t>("special/nan32"),
            (Words{0x7fa00001, 0xffc12345, 0x7f800000, 1}));
  EXPECT_EQ(pack.elements<std::uint16_t>("special/nan16"),
            (std::vector<std::uint16_t>{0x7f81, 0xffc1, 0x8000, 1}));
}

TEST(Golden, SharedStoragesViewsAndShards) {
  const Golden pack("complete.ckp");
  const auto& view = pack.tensor("view/transposed");
  EXPECT_EQ(view.storage, pack.tensor("view/matrix").storage);
  EXPECT_EQ(view.shape, (Shape{4, 2}));
  EXPECT_EQ(view.strides, (Shape{1, 4}));
  EXPECT_EQ(view.storage_offset, 4);
  const auto& shard = pack.tensor("view/shard");
  EXPECT_EQ(shard.global_shape, Shape{10});
  EXPECT_EQ(shard.global_offset, Shape{5});
  EXPECT_EQ(pack.elements<std::uint16_t>("view/shard"),
            (std::vector<std::uint16_t>{1, 2, 3, 5, 6}));
}

TEST(Golden, CheckpointRecordAndValues) {
  const Golden pack("complete.ckp");
  const auto& checkpoint = pack.manifest.checkpoint;
  EXPECT_EQ(checkpoint.at("run_name").as_string(), "golden");
  EXPECT_EQ(checkpoint.at("run_id").as_bytes().size(), 16u);
  EXPECT_TRUE(checkpoint.at("continued_from").is_null());
  EXPECT_EQ(checkpoint.at("step").as_int(), 200);
  EXPECT_EQ(checkpoint.at("metrics").find("val/loss")->as_double(), 0.25);
  EXPECT_TRUE(checkpoint.at("nonfinite").as_bool());
  EXPECT_EQ(checkpoint.at("created_ns").as_int(), 1700000000000000000);
  EXPECT_EQ(checkpoint.at("journal").find("length")->as_int(), 128);
  EXPECT_EQ(pack.manifest.values.at("list").as_list().size(), 6u);
}

TEST(Golden, ReferencesToOtherPacks) {
  const Golden pack("references.ckp");
  EXPECT_EQ(pack.directory.uses.refuse, feature::external_references);
  ASSERT_EQ(pack.manifest.references.size(), 1u);
  const auto& reference = pack.manifest.references[0];
  EXPECT_EQ(reference.address, (ChunkAddress{golden_uuid(0xaa), 0}));
  const Golden minimal("minimal.ckp");
  EXPECT_EQ(minimal.directory.find_chunk(0)->raw_digest, reference.raw_digest);
}

TEST(Golden, PatchesAreAppliedInOrder) {
  const Golden pack("patched.ckp");
  EXPECT_EQ(pack.directory.uses.refuse, feature::patches);
  ASSERT_EQ(pack.manifest.patches.size(), 2u);
  EXPECT_EQ(pack.manifest.patches[0].length, 30u);
  EXPECT_EQ(pack.elements<std::uint8_t>("model/bias"), (std::vector<std::uint8_t>{7, 8}));
  EXPECT_EQ(pack.elements<std::uint16_t>("model/table"),
            (std::vector<std::uint16_t>{0,  1,  100, 101, 200, 201, 6,   7,  8,   9,
                                        10, 11, 12,  13,  210, 211, 114, 17, 214, 215}));
  EXPECT_EQ(pack.tensor("model/column").storage, pack.tensor("model/table").storage);
  EXPECT_EQ(pack.tensor("model/column").strides, Shape{5});
  EXPECT_EQ(pack.tensor("model/tail").storage_offset, 15);
}

TEST(Golden, DifferencesAreAppliedBeforePatches) {
  const Golden pack("differences.ckp");
  EXPECT_EQ(pack.directory.uses.refuse, feature::patches | feature::differences);
  ASSERT_EQ(pack.manifest.differences.size(), 5u);
  const Bytes storage = pack.storage(pack.tensor("model/floats"));
  Words floats(4);
  std::memcpy(floats.data(), storage.data(), 16);
  EXPECT_EQ(floats, (Words{0x3f800000, 0xbf800000, 0x80000000, 0xff800002}));
  std::vector<std::uint8_t> bytes(10);
  std::memcpy(bytes.data(), storage.data() + 16, 10);
  EXPECT_EQ(bytes, (std::vector<std::uint8_t>{246, 1, 0, 0, 129, 2, 64, 3, 0, 139}));
  Bytes applied = pack.chunk_of(pack.manifest.storages[0].pieces[0].reference);
  applied = Bytes(applied.begin() + 4, applied.begin() + 20);
  for (const Difference& difference : pack.manifest.differences_of(0, 0)) {
    apply_difference(difference.kind, pack.chunk_of(difference.reference), applied);
  }
  EXPECT_EQ(applied, Bytes(storage.begin(), storage.begin() + 16));
}

TEST(Golden, DerivedPiecesAreRoundedFromTheFinishedSource) {
  const Golden pack("derived.ckp");
  EXPECT_EQ(pack.directory.uses.refuse, feature::patches | feature::differences | feature::derived);
  using Halves = std::vector<std::uint16_t>;
  EXPECT_EQ(pack.elements<std::uint32_t>("optimizer/master"),
            (Words{0x3f808000, 0xbf818000, 0x3f808001, 0x7fa00001, 0x80000000, 0x477ff001}));
  EXPECT_EQ(pack.elements<std::uint16_t>("model/weight"),
            (Halves{0x3f80, 0xbf82, 0x3f81, 0x4321, 0x1234, 0x5678}));
  EXPECT_EQ(pack.elements<std::uint16_t>("model/small"),
            (Halves{0x3c04, 0xbc0c, 0x3c04, 0x7e00, 0x8000, 0x7c00}));
}

TEST(Golden, EveryPackCanBeScanned) {
  for (const char* name : {"minimal.ckp", "complete.ckp", "references.ckp", "patched.ckp",
                           "differences.ckp", "derived.ckp"}) {
    const Golden pack(name);
    const auto scanned = scan_directory(pack.source);
    EXPECT_EQ(scanned.chunks, pack.directory.chunks) << name;
    EXPECT_EQ(scanned.manifests, pack.directory.manifests) << name;
    EXPECT_TRUE(scanned.damage.empty()) << name;
  }
}

TEST(Golden, Journal) {
  const auto contents = decode_journal(load("journal"));
  EXPECT_EQ(contents.header.run, golden_uuid(0x01));
  EXPECT_EQ(contents.header.journal, golden_uuid(0x02));
  EXPECT_TRUE(contents.gaps.empty());
  ASSERT_GE(contents.records.size(), 2u);
  EXPECT_EQ(contents.records[0].record.kind, JournalKind::run_created);
  EXPECT_EQ(contents.records[0].record.payload.find("name")->as_string(), "golden");
  EXPECT_EQ(contents.records[1].record.sequence, 1u);
  EXPECT_EQ(contents.records[1].record.commit, 7u);
  EXPECT_EQ(contents.records[1].record.payload.find("val/loss")->as_double(), 0.25);
}

TEST(Golden, StoreAndStateBlock) {
  const auto store = decode_store_identity(load("STORE"));
  EXPECT_EQ(store.uuid, golden_uuid(0x03));
  EXPECT_EQ(store.created_ns, 1700000000000000000);
  const auto block = decode_state_block(load("state-block"));
  ASSERT_TRUE(block.has_value());
  EXPECT_EQ(block->store, golden_uuid(0x03));
  EXPECT_EQ(block->boot, golden_uuid(0x04));
  EXPECT_EQ(block->begin, 8u);
  EXPECT_EQ(block->end, 7u);
  EXPECT_EQ(block->run_directory, "golden-00010203");
  EXPECT_EQ(block->stamp, (IndexStamp{1, 2, 3, 4, 5}));
  EXPECT_EQ(block->holder_pid, 4711u);
  EXPECT_EQ(block->holder_host, "host");
}

TEST(GoldenRefusal, DirectoryErrorsByFile) {
  const struct {
    const char* file;
    ErrorCode code;
    const char* message;
  } cases[] = {
      {"newer-version.ckp", ErrorCode::newer_format, "needs format version 2"},
      {"unknown-refuse-bit.ckp", ErrorCode::newer_format, "uses a feature"},
      {"text-mode.ckp", ErrorCode::corrupt, "line endings were converted"},
      {"truncated.ckp", ErrorCode::corrupt, "cut short"},
  };
  for (const auto& one : cases) {
    const MemorySource source(load(one.file));
    const auto message = error_of(one.code, [&] { read_directory(source); });
    EXPECT_CONTAINS(message, one.message);
    EXPECT_CONTAINS(message, "test.ckp: pack ");
  }
}

TEST(GoldenRefusal, ReservedCodecsAreRefusedForTheirChunkAlone) {
  for (const char* name : {"sparse", "delta"}) {
    const MemorySource source(load(std::string(name) + "-codec.ckp"));
    const auto directory = read_directory(source);
    Bytes out(24);
    const auto message = error_of(ErrorCode::newer_format,
                                  [&] { read_chunk(source, directory, directory.chunks[1], out); });
    EXPECT_CONTAINS(message, name);
    EXPECT_CONTAINS(message, "use a newer one");
    EXPECT_EQ(test::read_chunk_bytes(source, directory, directory.chunks[0]), Bytes(8));
    EXPECT_EQ(scan_directory(source).chunks.size(), 1u);
  }
}

TEST(GoldenRefusal, AFlippedBitIsNamedWithItsChunk) {
  const MemorySource source(load("flipped-byte.ckp"));
  const auto directory = read_directory(source);
  Bytes out(24);
  const auto message = error_of(ErrorCode::corrupt,
                                [&] { read_chunk(source, directory, directory.chunks[1], out); });
  EXPECT_CONTAINS(message, "test.ckp: chunk 1 at offset 320: raw digest is ");
  EXPECT_CONTAINS(message, directory.chunks[1].raw_digest.hex());
}

TEST(GoldenRefusal, ATruncatedPackStillYieldsItsChunks) {
  const MemorySource source(load("truncated.ckp"));
  const auto scanned = scan_directory(source);
  EXPECT_EQ(scanned.chunks.size(), 2u);
  EXPECT_EQ(read_manifest(source, scanned).tensors.size(), 2u);
}

TEST(GoldenRefusal, OtherUnknownFeaturesCanBeRead) {
  for (const char* name : {"ignore", "read-only"}) {
    const Golden pack("unknown-" + std::string(name) + "-bit.ckp");
    EXPECT_EQ(pack.elements<std::uint32_t>("model/bias"), (Words{0, 0}));
    const bool writable = check_readable(pack.directory.header.versions, pack.directory.uses, name);
    EXPECT_EQ(writable, std::string(name) == "ignore");
  }
}

TEST(GoldenRefusal, ARowBehindItsPatchIsDamageOfThatPatchAlone) {
  const Golden pack("row-behind-patch.ckp");
  const auto& patches = pack.manifest.patches;
  ASSERT_EQ(patches.size(), 2u);
  const Bytes first = pack.patch_chunk(patches[0]), second = pack.patch_chunk(patches[1]);
  EXPECT_EQ(decode_patch(first, patches[0].length).rows, (Words{0, 3}));
  const auto message =
      error_of(ErrorCode::corrupt, [&] { decode_patch(second, patches[1].length); });
  EXPECT_CONTAINS(message, "row 7 of 4 bytes lies behind the 28 bytes that it patches");
}

TEST(GoldenRefusal, ANewerKindOfDifferenceIsRefusedWithItsCheckpoint) {
  const MemorySource source(load("newer-difference.ckp"));
  const auto directory = read_directory(source);
  const auto message = error_of(ErrorCode::newer_format, [&] { read_manifest(source, directory); });
  EXPECT_CONTAINS(message, "section differences, entry 0: kind 5 is not known");
  EXPECT_EQ(test::read_chunk_bytes(source, directory, directory.chunks[0]).size(), 8u);
}

TEST(GoldenRefusal, NewerStore) {
  const auto message =
      error_of(ErrorCode::newer_format, [] { decode_store_identity(load("newer-STORE")); });
  EXPECT_CONTAINS(message, "needs format version 2");
}

}  // namespace
}  // namespace ckp::format
