// To nearest, ties to even, in integers: what a processor's floating point does with denormals,
// NaNs and rounding modes must not decide what a file says.
#include "ckp/format/rounding.h"

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>

namespace ckp::format {
namespace {

static_assert(std::endian::native == std::endian::little, "elements are copied as they lie");

// Elements per step. Fixed, so that the compiler unrolls and vectorizes the loops.
constexpr std::size_t rounding_block = 64;

constexpr std::uint32_t magnitude_bits = 0x7fffffff;
constexpr std::uint32_t infinity_bits = 0x7f800000;

constexpr std::uint16_t to_bfloat16(std::uint32_t x) {
  const std::uint32_t nearest = (x + 0x7fff + ((x >> 16) & 1)) >> 16;
  const bool is_nan = (x & magnitude_bits) > infinity_bits;
  return static_cast<std::uint16_t>(is_nan ? 0x7fc0 : nearest);
}

constexpr std::uint16_t to_float16(std::uint32_t x) {
  const std::uint32_t sign = (x >> 16) & 0x8000;
  const std::uint32_t magnitude = x & magnitude_bits;
  // 2^-14 and above: the exponent counts from 15 instead of 127. What rounds up beyond the largest
  // number becomes infinity by carrying into the exponent.
  const std::uint32_t normal = (magnitude - (112u << 23) + 0xfff + ((magnitude >> 13) & 1)) >> 13;
  // Below: multiples of 2^-24. 31 makes nothing of it, as all above 25 would.
  const std::uint32_t exponent = magnitude >> 23;
  const std::uint32_t mantissa = (magnitude & 0x7fffff) | 0x800000;
  const std::uint32_t shift = exponent < 95 ? 31 : exponent > 112 ? 1 : 126 - exponent;
  const std::uint32_t half = 1u << (shift - 1);
  const std::uint32_t denormal = (mantissa + half - 1 + ((mantissa >> shift) & 1)) >> shift;
  std::uint32_t nearest = exponent < 113 ? denormal : normal;
  if (magnitude >= 0x47800000) nearest = 0x7c00;
  if (magnitude > infinity_bits) nearest = 0x7e00;
  return static_cast<std::uint16_t>(sign | nearest);
}

// Calls `block(source, at, count)` with blocks of elements, until it returns false.
template <class Block>
bool each_rounded(std::span<const std::byte> source, auto round, Block block) {
  std::array<std::uint32_t, rounding_block> from;
  std::array<std::uint16_t, rounding_block> to;
  const std::size_t count = source.size() / sizeof(std::uint32_t);
  std::size_t at = 0;
  for (; at + rounding_block <= count; at += rounding_block) {
    std::memcpy(from.data(), source.data() + at * sizeof(std::uint32_t), sizeof from);
    for (std::size_t i = 0; i < rounding_block; ++i) to[i] = round(from[i]);
    if (!block(at, std::as_bytes(std::span(to)))) return false;
  }
  const std::size_t rest = count - at;
  if (rest == 0) return true;
  std::memcpy(from.data(), source.data() + at * sizeof(std::uint32_t),
              rest * sizeof(std::uint32_t));
  for (std::size_t i = 0; i < rest; ++i) to[i] = round(from[i]);
  return block(at, std::as_bytes(std::span(to).first(rest)));
}

template <class Block>
bool each_block(Rounding rounding, std::span<const std::byte> source, Block block) {
  if (rounding == Rounding::bfloat16) {
    return each_rounded(
        source, [](std::uint32_t x) { return to_bfloat16(x); }, block);
  }
  return each_rounded(
      source, [](std::uint32_t x) { return to_float16(x); }, block);
}

}  // namespace

void round_floats(Rounding rounding, std::span<const std::byte> source, std::span<std::byte> out) {
  each_block(rounding, source, [&](std::size_t at, std::span<const std::byte> bytes) {
    std::memcpy(out.data() + at * sizeof(std::uint16_t), bytes.data(), bytes.size());
    return true;
  });
}

bool is_rounding(Rounding rounding, std::span<const std::byte> source,
                 std::span<const std::byte> rounded) {
  if (source.size() != 2 * rounded.size() || rounded.size() % sizeof(std::uint16_t) != 0) {
    return false;
  }
  return each_block(rounding, source, [&](std::size_t at, std::span<const std::byte> bytes) {
    return std::memcmp(rounded.data() + at * sizeof(std::uint16_t), bytes.data(), bytes.size()) ==
           0;
  });
}

}  // namespace ckp::format
