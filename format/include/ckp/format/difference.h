// Differences between two versions of the same bytes (spec/format.md, "Section 9"). Pure functions;
// safe to call from any number of threads at once.
#pragma once

#include <cstddef>
#include <optional>
#include <span>

#include "ckp/format/manifest.h"

namespace ckp::format {

constexpr bool is_known(DifferenceKind kind) {
  return kind >= DifferenceKind::exclusive_or && kind <= DifferenceKind::elements64;
}

// What makes `after` of `before`, into `out`; all three have the same size. A rest that is shorter
// than an element is an exclusive or.
void take_difference(DifferenceKind kind, std::span<const std::byte> before,
                     std::span<const std::byte> after, std::span<std::byte> out);

// The inverse: `bytes` are those before, and then those after. The same size as `difference`.
void apply_difference(DifferenceKind kind, std::span<const std::byte> difference,
                      std::span<std::byte> bytes);

struct DifferenceGain {
  DifferenceKind kind = DifferenceKind::exclusive_or;
  double part = 1;  // of what encode() would make of `after` alone
};

// Which kind becomes the smallest when it is encoded, as a sample of the elements has it. Nothing
// when `after` alone takes next to nothing, or holds no whole element.
std::optional<DifferenceGain> best_difference(std::span<const std::byte> before,
                                              std::span<const std::byte> after,
                                              std::size_t scalar_size);

}  // namespace ckp::format
