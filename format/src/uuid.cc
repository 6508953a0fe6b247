#include "ckp/uuid.h"

#include "hex.h"

namespace ckp {

std::string Uuid::hex() const {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  text.reserve(32);
  for (const std::byte byte : bytes) {
    const auto value = std::to_integer<unsigned>(byte);
    text += digits[value >> 4];
    text += digits[value & 15];
  }
  return text;
}

std::optional<Uuid> Uuid::from_hex(std::string_view text) {
  Uuid uuid;
  if (text.size() != 2 * uuid.bytes.size()) return std::nullopt;
  for (std::size_t i = 0; i < uuid.bytes.size(); ++i) {
    const auto high = hex_digit(text[2 * i]);
    const auto low = hex_digit(text[2 * i + 1]);
    if (!high || !low) return std::nullopt;
    uuid.bytes[i] = static_cast<std::byte>(*high << 4 | *low);
  }
  return uuid;
}

}  // namespace ckp
