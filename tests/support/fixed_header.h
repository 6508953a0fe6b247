// Tampering with fixed-size structures that end in a checksum over everything before it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "ckp/digest.h"

namespace ckp::test {

// Overwrites the last eight of `bytes` with the right checksum, so that a test reaches the checks
// behind it.
inline void reseal(std::span<std::byte> bytes) {
  const auto covered = bytes.first(bytes.size() - 8);
  const std::uint64_t checksum = checksum_of(covered);
  for (std::size_t i = 0; i < 8; ++i) {
    bytes[covered.size() + i] = static_cast<std::byte>(checksum >> (8 * i));
  }
}

// A copy with one byte changed and the checksum made right again.
inline std::vector<std::byte> with_byte(std::vector<std::byte> bytes, std::size_t at, int value) {
  bytes[at] = static_cast<std::byte>(value);
  reseal(bytes);
  return bytes;
}

}  // namespace ckp::test
