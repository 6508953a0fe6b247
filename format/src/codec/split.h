// Byte planes: plane k holds byte k (little-endian) of every element.
#pragma once

#include <array>
#include <cstddef>

namespace ckp::format {

constexpr std::size_t max_scalar_size = 8;
constexpr bool is_scalar_size(std::size_t size) {
  return size == 1 || size == 2 || size == 4 || size == 8;
}

// Both give the same bytes.
enum class Instructions { portable, avx2 };
// What this processor can do, asked once.
Instructions best_instructions();

// `rotated`: each element is rotated left by one bit first, which puts a float's sign at the bottom
// and its exponent into one byte.
void split_planes(const std::byte* raw, std::size_t count, std::size_t scalar_size, bool rotated,
                  const std::array<std::byte*, max_scalar_size>& planes,
                  Instructions instructions = best_instructions());

// The inverse.
void merge_planes(const std::array<const std::byte*, max_scalar_size>& planes, std::size_t count,
                  std::size_t scalar_size, bool rotated, std::byte* raw,
                  Instructions instructions = best_instructions());

}  // namespace ckp::format
