#include "ckp/dtype.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "ckp/error.h"

namespace ckp {
namespace {

struct Info {
  std::string_view name;
  std::uint8_t size;
  std::uint8_t scalar_size;
  bool floating;
};

// By number; entry 0 stands for none.
constexpr std::array<Info, 22> infos{{
    {"", 0, 0, false},
    {"bool", 1, 1, false},
    {"uint8", 1, 1, false},
    {"int8", 1, 1, false},
    {"int16", 2, 2, false},
    {"int32", 4, 4, false},
    {"int64", 8, 8, false},
    {"uint16", 2, 2, false},
    {"uint32", 4, 4, false},
    {"uint64", 8, 8, false},
    {"float16", 2, 2, true},
    {"bfloat16", 2, 2, true},
    {"float32", 4, 4, true},
    {"float64", 8, 8, true},
    {"complex32", 4, 2, true},
    {"complex64", 8, 4, true},
    {"complex128", 16, 8, true},
    {"float8_e4m3fn", 1, 1, true},
    {"float8_e5m2", 1, 1, true},
    {"float8_e4m3fnuz", 1, 1, true},
    {"float8_e5m2fnuz", 1, 1, true},
    {"float8_e8m0fnu", 1, 1, true},
}};

const Info& info_of(DType dtype) {
  const auto number = static_cast<std::uint16_t>(dtype);
  if (number == 0 || number >= infos.size()) {
    throw Error(ErrorCode::invalid_argument, fmt::format("dtype: {} is no element type", number));
  }
  return infos[number];
}

// Whether some element has all bits of `mask` set, where `mask` is the run of bits just below the
// sign. Adding the mask's lowest bit then carries into the sign bit, so that a block is one and,
// one add and one or per element, which every compiler turns into vector code, comparisons being
// slow for 64-bit lanes without SSE4.
template <class Bits>
bool any_all_ones(const std::byte* bytes, std::size_t count, Bits mask) {
  constexpr std::size_t block_size = 4096 / sizeof(Bits);
  constexpr Bits sign = static_cast<Bits>(Bits{1} << (8 * sizeof(Bits) - 1));
  const Bits lowest = static_cast<Bits>(mask & (~mask + 1));
  const auto carry = [&](const std::byte* at) {
    Bits bits;
    std::memcpy(&bits, at, sizeof bits);
    return static_cast<Bits>(static_cast<Bits>(bits & mask) + lowest);
  };
  for (; count >= block_size; count -= block_size, bytes += block_size * sizeof(Bits)) {
    Bits seen = 0;
    for (std::size_t i = 0; i < block_size; ++i) {
      seen = static_cast<Bits>(seen | carry(bytes + i * sizeof(Bits)));
    }
    if ((seen & sign) != 0) return true;
  }
  Bits seen = 0;
  for (std::size_t i = 0; i < count; ++i) {
    seen = static_cast<Bits>(seen | carry(bytes + i * sizeof(Bits)));
  }
  return (seen & sign) != 0;
}

bool contains_byte(const std::byte* bytes, std::size_t size, int value) {
  return size != 0 && std::memchr(bytes, value, size) != nullptr;
}

}  // namespace

std::size_t size_of(DType dtype) { return info_of(dtype).size; }
std::size_t scalar_size_of(DType dtype) { return info_of(dtype).scalar_size; }
bool is_floating(DType dtype) { return info_of(dtype).floating; }
std::string_view to_string(DType dtype) { return info_of(dtype).name; }

std::optional<DType> dtype_from_string(std::string_view name) {
  const auto found = std::find_if(infos.begin() + 1, infos.end(),
                                  [&](const Info& info) { return info.name == name; });
  if (found == infos.end()) return std::nullopt;
  return static_cast<DType>(found - infos.begin());
}

std::optional<DType> dtype_from_number(std::uint16_t number) {
  if (number == 0 || number >= infos.size()) return std::nullopt;
  return static_cast<DType>(number);
}

bool has_nonfinite(DType dtype, const std::byte* bytes, std::size_t size) {
  const Info& info = info_of(dtype);
  if (!info.floating) return false;
  const std::size_t scalars = size / info.size * (info.size / info.scalar_size);
  switch (dtype) {
    case DType::float16:
    case DType::complex32:
      return any_all_ones<std::uint16_t>(bytes, scalars, 0x7c00);
    case DType::bfloat16:
      return any_all_ones<std::uint16_t>(bytes, scalars, 0x7f80);
    case DType::float32:
    case DType::complex64:
      return any_all_ones<std::uint32_t>(bytes, scalars, 0x7f80'0000);
    case DType::float64:
    case DType::complex128:
      return any_all_ones<std::uint64_t>(bytes, scalars, 0x7ff0'0000'0000'0000);
    case DType::float8_e4m3fn:
      return any_all_ones<std::uint8_t>(bytes, scalars, 0x7f);
    case DType::float8_e5m2:
      return any_all_ones<std::uint8_t>(bytes, scalars, 0x7c);
    // The fnuz kinds have one NaN, where -0 would be; e8m0 has no sign and one NaN.
    case DType::float8_e4m3fnuz:
    case DType::float8_e5m2fnuz:
      return contains_byte(bytes, scalars, 0x80);
    case DType::float8_e8m0fnu:
      return contains_byte(bytes, scalars, 0xff);
    default:
      return false;
  }
}

}  // namespace ckp
