// Little-endian numbers in the middle of a file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace ckp::fuzz {

inline std::uint64_t get_number(std::span<const std::byte> bytes, std::size_t at, unsigned size) {
  std::uint64_t value = 0;
  for (unsigned i = size; i-- > 0;) {
    value = value << 8 | std::to_integer<std::uint64_t>(bytes[at + i]);
  }
  return value;
}

inline void put_number(std::span<std::byte> bytes, std::size_t at, unsigned size,
                       std::uint64_t value) {
  for (unsigned i = 0; i < size; ++i) bytes[at + i] = static_cast<std::byte>(value >> (8 * i));
}

}  // namespace ckp::fuzz
