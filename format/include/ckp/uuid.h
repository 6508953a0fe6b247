// 128-bit identities of stores, runs, packs and journals.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace ckp {

// Sixteen random bytes. The id of a checkpoint is the uuid of the pack that was written for it.
// All zero means "none".
struct Uuid {
  std::array<std::byte, 16> bytes{};

  friend bool operator==(const Uuid&, const Uuid&) = default;
  friend auto operator<=>(const Uuid&, const Uuid&) = default;
  bool is_nil() const { return *this == Uuid{}; }
  // 32 lower-case hexadecimal digits.
  std::string hex() const;
  // The first eight digits, for people.
  std::string short_hex() const { return hex().substr(0, 8); }
  // Exactly 32 hexadecimal digits, or nothing.
  static std::optional<Uuid> from_hex(std::string_view text);
};

}  // namespace ckp
