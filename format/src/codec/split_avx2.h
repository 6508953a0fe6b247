// The whole blocks of split_planes and merge_planes with AVX2: the same bytes in less time.
#pragma once

#include <array>
#include <cstddef>

#include "split.h"

namespace ckp::format {

// Both take elements from the front in blocks of 32 and return how many they did: 0 for a
// scalar_size of 1, and on machines that are not x86-64. To be called only where has_avx2().
bool has_avx2();
std::size_t split_avx2(const std::byte* raw, std::size_t count, std::size_t scalar_size,
                       bool rotated, const std::array<std::byte*, max_scalar_size>& planes);
std::size_t merge_avx2(const std::array<const std::byte*, max_scalar_size>& planes,
                       std::size_t count, std::size_t scalar_size, bool rotated, std::byte* raw);

}  // namespace ckp::format
