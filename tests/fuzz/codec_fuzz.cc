// Stored bytes of a chunk: the codec's number, the scalar size, the raw size (3 bytes), then the
// stored bytes. The same bytes also take the way there and back.
#include <vector>

#include "ckp/format/codec.h"
#include "fuzz/bytes.h"
#include "fuzz/target.h"

namespace ckp::fuzz {
namespace {

using format::Codec;

void there_and_back(BytesView raw, std::size_t scalar_size, format::Compression level) {
  const auto encoded = format::encode(raw, scalar_size, level);
  const BytesView stored = encoded.codec == Codec::raw ? raw : BytesView(encoded.bytes);
  require(stored.size() <= raw.size(), "stored bytes are never more than raw bytes");
  std::vector<std::byte> out(raw.size(), std::byte{0xa5});
  format::decode(encoded.codec, stored, out);
  require(std::equal(out.begin(), out.end(), raw.begin(), raw.end()), "every bit comes back");
}

void fuzz_one(BytesView bytes) {
  constexpr std::size_t parameters = 5;
  if (bytes.size() < parameters) return;
  const auto codec = static_cast<Codec>(bytes[0]);
  const std::size_t scalar_size = std::size_t{1} << (std::to_integer<unsigned>(bytes[1]) % 4);
  const std::uint64_t raw_size = get_number(bytes, 2, 3) % (1u << 20);
  const BytesView stored = bytes.subspan(parameters);
  std::vector<std::byte> out(raw_size);
  takes([&] { format::decode(codec, stored, out); });
  using format::Compression;
  for (const auto level : {Compression::fast, Compression::balanced, Compression::archive}) {
    there_and_back(stored, scalar_size, level);
  }
}

}  // namespace
}  // namespace ckp::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ckp::fuzz::fuzz_one(std::as_bytes(std::span(data, size)));
  return 0;
}
