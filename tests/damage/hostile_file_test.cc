// A `.ckp` from outside that is small and claims to be huge: bounded memory, and an error that says
// what was asked for.
#include <gtest/gtest.h>

#include "ckp/format/limits.h"
#include "ckp/load.h"
#include "engine/sample_states.h"
#include "fuzz/bytes.h"
#include "fuzz/repair.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace ckp {
namespace {

using test::expect_error;

class HostileFile : public testing::Test {
 protected:
  // A pack in which `change` had its way with the manifest before it was written.
  std::vector<std::byte> pack(const std::function<void(format::Manifest&)>& change) {
    std::vector<std::byte> file;
    format::PackHeader header;
    header.uuid.bytes.fill(std::byte{7});
    format::PackWriter writer(
        [&](std::span<const std::byte> bytes) {
          file.insert(file.end(), bytes.begin(), bytes.end());
        },
        header);
    const std::vector<std::byte> raw(format::limits::chunk_raw_size);
    const auto digest = digest_of(raw);
    const std::byte zero{0};
    writer.add_chunk(digest, format::limits::chunk_raw_size, format::Codec::constant, {&zero, 1});
    format::Manifest manifest;
    manifest.references = {{{}, digest, format::limits::chunk_raw_size}};
    change(manifest);
    writer.finish({&manifest, 1});
    return file;
  }
  Checkpoint open(const std::vector<std::byte>& file) {
    const auto path = directory_ / "hostile.ckp";
    test::write_bytes(path, file);
    return open_file(path);
  }

  const test::TemporaryDirectory directory_;
};

// Pieces of one `constant` chunk of one stored byte.
TEST_F(HostileFile, TerabytesOfZerosAreNotAllocated) {
  constexpr std::uint64_t pieces = 1u << 20;
  constexpr std::uint64_t size = pieces * format::limits::chunk_raw_size;
  const auto file = pack([&](format::Manifest& manifest) {
    const format::StoragePiece piece{0, 0, format::limits::chunk_raw_size};
    manifest.storages = {{size, std::vector<format::StoragePiece>(pieces, piece)}};
    manifest.tensors = {{.name = "model/a",
                         .dtype = DType::uint8,
                         .shape = {static_cast<std::int64_t>(size)},
                         .strides = {1}}};
  });
  const Checkpoint checkpoint = open(file);
  EXPECT_EQ(checkpoint.record().tensor_bytes, size);
  expect_error(ErrorCode::unsupported, "needs 70368744177664 bytes of memory",
               [&] { (void)checkpoint.read("model/a"); });
  expect_error(ErrorCode::unsupported, "needs 70368744177664 bytes of memory",
               [&] { (void)checkpoint.read_storage(0); });
}

// Strides of zero make any number of elements out of one.
TEST_F(HostileFile, ABroadcastTensorIsNotAllocatedEither) {
  const auto file = pack([&](format::Manifest& manifest) {
    manifest.storages = {{8, {{0, 0, 8}}}};
    manifest.tensors = {{.name = "model/a",
                         .dtype = DType::float64,
                         .shape = {std::int64_t{1} << 40, std::int64_t{1} << 19},
                         .strides = {0, 0}}};
  });
  const Checkpoint checkpoint = open(file);
  expect_error(ErrorCode::unsupported, "bytes of memory",
               [&] { (void)checkpoint.read("model/a"); });
}

// What compresses too well is stored as it is, so that a reader may refuse what claims too much.
TEST_F(HostileFile, AManifestOfZerosIsStoredRaw) {
  const Value::Bytes zeros(4u << 20);
  const auto file = pack([&](format::Manifest& manifest) { manifest.values["zeros"] = zeros; });
  EXPECT_GT(file.size(), 8u << 20) << "both copies";
  EXPECT_EQ(open(file).values().at("zeros").as_bytes(), zeros);
}

TEST_F(HostileFile, AManifestThatClaimsAHundredMegabytes) {
  auto file = pack([](format::Manifest&) {});
  constexpr std::size_t kind_at = 8, codec_at = 9, raw_size_at = 24;
  for (std::size_t at = format::PackHeader::size; at + 128 < file.size(); at += 64) {
    const auto record = std::span(file).subspan(at);
    if (!format::has_record_magic(record) || record[kind_at] != std::byte{2}) continue;
    record[codec_at] = static_cast<std::byte>(format::Codec::planes);
    fuzz::put_number(record, raw_size_at, 8, 100u << 20);
  }
  fuzz::repair_pack(file, fuzz::Repair::agreement);
  expect_error(ErrorCode::corrupt, "raw_size is 104857600, too much for",
               [&] { (void)open(file); });
}

}  // namespace
}  // namespace ckp
