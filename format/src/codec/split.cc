#include "split.h"

#include <bit>
#include <cstdint>
#include <cstring>

#include "split_avx2.h"

namespace ckp::format {
namespace {

static_assert(std::endian::native == std::endian::little, "elements are copied as they lie");

// Elements per step. Fixed, so that the compiler unrolls and vectorizes the loops; integers only,
// because a float in between would quiet signalling NaNs.
constexpr std::size_t block = 64;

template <std::size_t size>
struct Unsigned;
template <>
struct Unsigned<1> {
  using type = std::uint8_t;
};
template <>
struct Unsigned<2> {
  using type = std::uint16_t;
};
template <>
struct Unsigned<4> {
  using type = std::uint32_t;
};
template <class T>
using Half = typename Unsigned<sizeof(T) / 2>::type;

template <class T>
using Block = std::array<T, block>;

// Halving step by step is two times as fast as picking each byte out of the whole element: every
// step is one pack instruction.
template <class T>
void to_bytes(const Block<T>& values, Block<std::uint8_t>* planes) {
  if constexpr (sizeof(T) == 1) {
    *planes = values;
  } else {
    Block<Half<T>> low;
    Block<Half<T>> high;
    for (std::size_t j = 0; j < block; ++j) low[j] = static_cast<Half<T>>(values[j]);
    for (std::size_t j = 0; j < block; ++j) {
      high[j] = static_cast<Half<T>>(values[j] >> (8 * sizeof(Half<T>)));
    }
    to_bytes(low, planes);
    to_bytes(high, planes + sizeof(Half<T>));
  }
}

template <class T>
void from_bytes(const Block<std::uint8_t>* planes, Block<T>& values) {
  if constexpr (sizeof(T) == 1) {
    values = *planes;
  } else {
    Block<Half<T>> low;
    Block<Half<T>> high;
    from_bytes(planes, low);
    from_bytes(planes + sizeof(Half<T>), high);
    for (std::size_t j = 0; j < block; ++j) {
      values[j] = static_cast<T>(low[j] | static_cast<T>(T{high[j]} << (8 * sizeof(Half<T>))));
    }
  }
}

using Sources = std::array<const std::byte*, max_scalar_size>;
using Targets = std::array<std::byte*, max_scalar_size>;

template <class T, bool rotated>
void split_block(const std::byte* raw, const Targets& planes, std::size_t first) {
  Block<T> values;
  std::memcpy(values.data(), raw, sizeof values);
  if constexpr (rotated) {
    for (T& value : values) value = static_cast<T>((value << 1) | (value >> (8 * sizeof(T) - 1)));
  }
  std::array<Block<std::uint8_t>, sizeof(T)> bytes;
  to_bytes(values, bytes.data());
  for (std::size_t k = 0; k < sizeof(T); ++k) {
    std::memcpy(planes[k] + first, bytes[k].data(), block);
  }
}

template <class T, bool rotated>
void merge_block(const Sources& planes, std::size_t first, std::byte* raw) {
  std::array<Block<std::uint8_t>, sizeof(T)> bytes;
  for (std::size_t k = 0; k < sizeof(T); ++k) {
    std::memcpy(bytes[k].data(), planes[k] + first, block);
  }
  Block<T> values;
  from_bytes(bytes.data(), values);
  if constexpr (rotated) {
    for (T& value : values) value = static_cast<T>((value >> 1) | (value << (8 * sizeof(T) - 1)));
  }
  std::memcpy(raw, values.data(), sizeof values);
}

// What is left after the whole blocks goes through a block of zeros.
template <class T>
struct Rest {
  std::array<std::byte, block * sizeof(T)> raw{};
  std::array<std::array<std::byte, block>, sizeof(T)> planes{};
};

// Elements from number `i` on.
template <class T, bool rotated>
void split(const std::byte* raw, std::size_t i, std::size_t count, const Targets& planes) {
  for (; i + block <= count; i += block) {
    split_block<T, rotated>(raw + i * sizeof(T), planes, i);
  }
  if (i == count) return;
  Rest<T> rest;
  Targets targets{};
  for (std::size_t k = 0; k < sizeof(T); ++k) targets[k] = rest.planes[k].data();
  std::memcpy(rest.raw.data(), raw + i * sizeof(T), (count - i) * sizeof(T));
  split_block<T, rotated>(rest.raw.data(), targets, 0);
  for (std::size_t k = 0; k < sizeof(T); ++k) std::memcpy(planes[k] + i, targets[k], count - i);
}

template <class T, bool rotated>
void merge(const Sources& planes, std::size_t i, std::size_t count, std::byte* raw) {
  for (; i + block <= count; i += block) {
    merge_block<T, rotated>(planes, i, raw + i * sizeof(T));
  }
  if (i == count) return;
  Rest<T> rest;
  Sources sources{};
  for (std::size_t k = 0; k < sizeof(T); ++k) {
    std::memcpy(rest.planes[k].data(), planes[k] + i, count - i);
    sources[k] = rest.planes[k].data();
  }
  merge_block<T, rotated>(sources, 0, rest.raw.data());
  std::memcpy(raw + i * sizeof(T), rest.raw.data(), (count - i) * sizeof(T));
}

// Calls `action` with a value of the unsigned type of that size.
template <class Action>
void with_element(std::size_t scalar_size, Action action) {
  switch (scalar_size) {
    case 1:
      return action(std::uint8_t{});
    case 2:
      return action(std::uint16_t{});
    case 4:
      return action(std::uint32_t{});
    default:
      return action(std::uint64_t{});
  }
}

}  // namespace

Instructions best_instructions() {
  return has_avx2() ? Instructions::avx2 : Instructions::portable;
}

void split_planes(const std::byte* raw, std::size_t count, std::size_t scalar_size, bool rotated,
                  const std::array<std::byte*, max_scalar_size>& planes,
                  Instructions instructions) {
  std::size_t done = 0;
  if (instructions == Instructions::avx2) {
    done = split_avx2(raw, count, scalar_size, rotated, planes);
  }
  with_element(scalar_size, [&](auto element) {
    using T = decltype(element);
    rotated ? split<T, true>(raw, done, count, planes) : split<T, false>(raw, done, count, planes);
  });
}

void merge_planes(const std::array<const std::byte*, max_scalar_size>& planes, std::size_t count,
                  std::size_t scalar_size, bool rotated, std::byte* raw,
                  Instructions instructions) {
  std::size_t done = 0;
  if (instructions == Instructions::avx2) {
    done = merge_avx2(planes, count, scalar_size, rotated, raw);
  }
  with_element(scalar_size, [&](auto element) {
    using T = decltype(element);
    rotated ? merge<T, true>(planes, done, count, raw) : merge<T, false>(planes, done, count, raw);
  });
}

}  // namespace ckp::format
