// How a chunk's raw bytes become stored bytes (spec/format.md, "Codecs"). Pure functions; safe to
// call from any number of threads at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace ckp::format {

// Numbers in files, never reused. `sparse` and `delta` are reserved: this version refuses them
// with Error(newer_format).
enum class Codec : std::uint8_t { raw = 0, constant = 1, planes = 2, sparse = 3, delta = 4 };

std::string_view to_string(Codec codec);

struct Encoded {
  Codec codec = Codec::raw;
  // The stored bytes; empty for `raw`, whose stored bytes are the raw bytes themselves.
  std::vector<std::byte> bytes;
};

enum class Compression : std::uint8_t {
  none,      // `raw` always
  fast,      // constant, or planes where bytes are clearly uneven: nothing else is even looked at
  balanced,  // constant, planes, or raw, whichever is smallest by measured entropy
  archive,   // as small as it gets at 100 MB/s a core; decoding costs about the same
};

// "none", "fast", "balanced" or "archive"; nothing for another word.
std::optional<Compression> compression_named(std::string_view name);

// Picks a codec for `raw` and applies it. `scalar_size` (1, 2, 4 or 8) is what the bytes are made
// of mostly; it is a hint for the split and is recorded in the stored bytes, never guessed when
// reading. The stored bytes are never larger than `raw`: when nothing wins, the answer is `raw`.
Encoded encode(std::span<const std::byte> raw, std::size_t scalar_size, Compression compression);
// The same, with the stored bytes in `out`, whose memory is used again.
Codec encode(std::span<const std::byte> raw, std::size_t scalar_size, Compression compression,
             std::vector<std::byte>& out);

// Decodes into `out`, whose size is the chunk's raw size. Throws Error(corrupt) for stored bytes
// that do not decode to exactly that size, Error(newer_format) for a codec it does not know.
// The caller checks the raw digest afterwards; `out` is unspecified after an error.
void decode(Codec codec, std::span<const std::byte> stored, std::span<std::byte> out);

// The pieces behind encode/decode, for tests and benchmarks.
// Each returns nothing when its stored form would not be smaller than `raw`.
std::optional<std::vector<std::byte>> encode_constant(std::span<const std::byte> raw);
std::optional<std::vector<std::byte>> encode_planes(
    std::span<const std::byte> raw, std::size_t scalar_size,
    Compression compression = Compression::balanced);

// The zstd library's version, "1.5.4", for reports.
std::string_view zstd_version();

}  // namespace ckp::format
