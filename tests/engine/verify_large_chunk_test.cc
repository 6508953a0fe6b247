// Chunks that verify does not read in one go.
#include <gtest/gtest.h>

#include <array>
#include <random>

#include "ckp/save.h"
#include "ckp/verify.h"
#include "load/open_pack.h"
#include "support/temporary_directory.h"

namespace ckp {
namespace {

TEST(VerifyLargeChunk, AFlippedBitIsFoundInEveryStretch) {
  const test::TemporaryDirectory directory;
  const auto path = directory / "large.ckp";
  std::vector<std::uint64_t> numbers((5u << 20) / 8);
  std::mt19937_64 random(11);
  for (std::uint64_t& number : numbers) number = random();
  StateDict state;
  const auto count = static_cast<std::int64_t>(numbers.size());
  state.add("model/large", contiguous_view(DType::int64, {count}, numbers.data()));
  SaveOptions options;
  options.encode.compression = format::Compression::none;
  options.encode.chunk_size = 8u << 20;
  save_file(path, state, options);
  const auto entry = open_pack(*posix_file_system(), path).directory.chunks.at(0);
  ASSERT_EQ(entry.stored_size, 5u << 20);
  EXPECT_TRUE(verify_file(path.string()).clean());

  const auto file = posix_file_system()->open(path, OpenMode::read_write);
  const auto flip = [&](std::uint64_t at) {
    std::array<std::byte, 1> byte{};
    file->read_at(at, byte);
    byte[0] ^= std::byte{1};
    file->write_at(at, byte);
  };
  const std::uint64_t begin = entry.offset + format::RecordHeader::size;
  for (const std::uint64_t at : {0u, (1u << 20) - 1, 1u << 20, 3u << 20, (5u << 20) - 1}) {
    SCOPED_TRACE("byte " + std::to_string(at));
    flip(begin + at);
    const VerifyReport report = verify_file(path.string());
    ASSERT_EQ(report.findings.size(), 1u);
    EXPECT_EQ(report.findings[0].chunk, 0);
    EXPECT_EQ(report.findings[0].tensor, "model/large");
    EXPECT_NE(report.findings[0].message.find("checksum"), std::string::npos)
        << report.findings[0].message;
    flip(begin + at);
  }
  EXPECT_TRUE(verify_file(path.string()).clean());
}

}  // namespace
}  // namespace ckp
