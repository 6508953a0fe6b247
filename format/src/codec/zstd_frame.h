// zstd frames (RFC 8878) of single planes. The one place that knows libzstd; contexts are kept per
// thread, so that a call allocates nothing after a thread's first.
#pragma once

#include <cstddef>
#include <span>

namespace ckp::format {

enum class ZstdMode {
  // Entropy coding of the bytes alone. Three times as fast as searching for matches, and smaller,
  // where there are none to find: exponents of trained weights.
  huffman,
  matches,   // zstd level 1: below one bit a byte, and for data with repetitions
  thorough,  // all the time that `archive` has
};

// Compresses `raw` into one frame at the front of `out`. Returns the frame's size, or 0 when it
// does not fit into `out`.
std::size_t compress_frame(ZstdMode mode, std::span<const std::byte> raw, std::span<std::byte> out);

// Fills `out` from frames that fill `stored` and hold exactly that many bytes; throws
// Error(corrupt) otherwise.
void decompress_frame(std::span<const std::byte> stored, std::span<std::byte> out);

}  // namespace ckp::format
