// Hexadecimal digits, for uuids and digests.
#pragma once

#include <cstdint>
#include <optional>

namespace ckp {

// The value of one hexadecimal digit of either case.
constexpr std::optional<std::uint8_t> hex_digit(char digit) {
  if (digit >= '0' && digit <= '9') return static_cast<std::uint8_t>(digit - '0');
  if (digit >= 'a' && digit <= 'f') return static_cast<std::uint8_t>(digit - 'a' + 10);
  if (digit >= 'A' && digit <= 'F') return static_cast<std::uint8_t>(digit - 'A' + 10);
  return std::nullopt;
}

}  // namespace ckp
