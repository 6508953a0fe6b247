// Two versions of a trained weight are close to each other. Rotated left by one bit, a float's sign
// is its lowest bit and the rest are an integer that rises with its magnitude, so that the distance
// of the two integers is small; zigzag puts the distance's sign at the bottom, too.
#include "ckp/format/difference.h"

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <vector>

#include "codec/plan.h"

namespace ckp::format {
namespace {

static_assert(std::endian::native == std::endian::little, "elements are copied as they lie");

// Elements per step. Fixed, so that the compiler unrolls and vectorizes the loops; integers only,
// because a float in between would quiet signalling NaNs.
constexpr std::size_t difference_block = 64;
template <class T>
using DifferenceBlock = std::array<T, difference_block>;

template <class T>
constexpr int top_bit = 8 * static_cast<int>(sizeof(T)) - 1;

template <class T>
constexpr T rotated_left(T value) {
  return static_cast<T>(static_cast<T>(value << 1) | static_cast<T>(value >> top_bit<T>));
}
template <class T>
constexpr T rotated_right(T value) {
  return static_cast<T>(static_cast<T>(value >> 1) | static_cast<T>(value << top_bit<T>));
}

template <class T>
constexpr T distance(T before, T after) {
  const T d = static_cast<T>(rotated_left(after) - rotated_left(before));
  const T sign = static_cast<T>(T{0} - static_cast<T>(d >> top_bit<T>));  // all ones: negative
  return static_cast<T>(static_cast<T>(d << 1) ^ sign);
}
template <class T>
constexpr T moved_by(T before, T difference) {
  const T sign = static_cast<T>(T{0} - static_cast<T>(difference & 1));
  const T d = static_cast<T>(static_cast<T>(difference >> 1) ^ sign);
  return rotated_right(static_cast<T>(rotated_left(before) + d));
}

// out[i] = of(a[i], b[i]); `out` may be `b`. The rest is an exclusive or.
template <class T, class Of>
void combine(std::span<const std::byte> a, std::span<const std::byte> b, std::byte* out, Of of) {
  constexpr std::size_t step = difference_block * sizeof(T);
  std::size_t at = 0;
  for (; at + step <= a.size(); at += step) {
    DifferenceBlock<T> first;
    DifferenceBlock<T> second;
    std::memcpy(first.data(), a.data() + at, step);
    std::memcpy(second.data(), b.data() + at, step);
    for (std::size_t j = 0; j < difference_block; ++j) second[j] = of(first[j], second[j]);
    std::memcpy(out + at, second.data(), step);
  }
  for (; at + sizeof(T) <= a.size(); at += sizeof(T)) {
    T first = 0;
    T second = 0;
    std::memcpy(&first, a.data() + at, sizeof(T));
    std::memcpy(&second, b.data() + at, sizeof(T));
    second = of(first, second);
    std::memcpy(out + at, &second, sizeof(T));
  }
  for (; at < a.size(); ++at) out[at] = a[at] ^ b[at];
}

// Calls `with_type` with a value of the unsigned type of the kind's elements.
template <class WithType>
void with_elements(DifferenceKind kind, WithType with_type) {
  switch (kind) {
    case DifferenceKind::exclusive_or:
      return;
    case DifferenceKind::elements16:
      return with_type(std::uint16_t{});
    case DifferenceKind::elements32:
      return with_type(std::uint32_t{});
    case DifferenceKind::elements64:
      return with_type(std::uint64_t{});
  }
}

template <class T>
constexpr T exclusive_or(T a, T b) {
  return a ^ b;
}

std::optional<DifferenceKind> kind_of_elements(std::size_t scalar_size) {
  switch (scalar_size) {
    case 2:
      return DifferenceKind::elements16;
    case 4:
      return DifferenceKind::elements32;
    case 8:
      return DifferenceKind::elements64;
    default:
      return std::nullopt;
  }
}

// Bits an element: below that, a chunk is next to nothing anyway.
constexpr double next_to_nothing = 0.5;

}  // namespace

void take_difference(DifferenceKind kind, std::span<const std::byte> before,
                     std::span<const std::byte> after, std::span<std::byte> out) {
  if (kind == DifferenceKind::exclusive_or) {
    return combine<std::uint64_t>(before, after, out.data(), exclusive_or<std::uint64_t>);
  }
  with_elements(kind, [&](auto element) {
    using T = decltype(element);
    combine<T>(before, after, out.data(), [](T a, T b) { return distance(a, b); });
  });
}

void apply_difference(DifferenceKind kind, std::span<const std::byte> difference,
                      std::span<std::byte> bytes) {
  if (kind == DifferenceKind::exclusive_or) {
    return combine<std::uint64_t>(difference, bytes, bytes.data(), exclusive_or<std::uint64_t>);
  }
  with_elements(kind, [&](auto element) {
    using T = decltype(element);
    combine<T>(difference, bytes, bytes.data(), [](T d, T before) { return moved_by(before, d); });
  });
}

std::optional<DifferenceGain> best_difference(std::span<const std::byte> before,
                                              std::span<const std::byte> after,
                                              std::size_t scalar_size) {
  const std::size_t count = after.size() / scalar_size;
  if (count == 0) return std::nullopt;
  const auto old_sample = take_sample(before, count, scalar_size);
  const auto new_sample = take_sample(after, count, scalar_size);
  const double alone = sampled_bits(new_sample, scalar_size);
  if (alone < next_to_nothing) return std::nullopt;
  std::vector<std::byte> difference(new_sample.size());
  const auto gain_of = [&](DifferenceKind kind) {
    take_difference(kind, old_sample, new_sample, difference);
    return DifferenceGain{kind, sampled_bits(difference, scalar_size) / alone};
  };
  DifferenceGain best = gain_of(DifferenceKind::exclusive_or);
  if (const auto kind = kind_of_elements(scalar_size)) {
    const DifferenceGain other = gain_of(*kind);
    if (other.part < best.part) best = other;
  }
  return best;
}

}  // namespace ckp::format
