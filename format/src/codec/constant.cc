// Codec `constant`: all raw bytes alike, one stored byte.
#include <fmt/format.h>

#include <cstring>

#include "ckp/error.h"
#include "ckp/format/codec.h"
#include "codec_internal.h"

namespace ckp::format {

bool store_constant(std::span<const std::byte> raw, std::vector<std::byte>& out) {
  if (raw.size() < 2 || raw.front() != raw.back()) return false;
  // Every byte equals its neighbour: one comparison of the range with itself, moved by one.
  if (std::memcmp(raw.data(), raw.data() + 1, raw.size() - 1) != 0) return false;
  out.assign(1, raw.front());
  return true;
}

void decode_constant(std::span<const std::byte> stored, std::span<std::byte> out) {
  if (stored.size() != 1) {
    throw Error(ErrorCode::corrupt,
                fmt::format("codec constant: stored_size is {}, expected 1", stored.size()));
  }
  if (!out.empty()) std::memset(out.data(), std::to_integer<int>(stored[0]), out.size());
}

}  // namespace ckp::format
