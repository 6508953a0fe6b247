// Element types of tensors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace ckp {

// The engine's own numbers: written into manifests, never reused, independent of any LibTorch.
enum class DType : std::uint16_t {
  boolean = 1,  // one byte, 0 or 1
  uint8 = 2,
  int8 = 3,
  int16 = 4,
  int32 = 5,
  int64 = 6,
  uint16 = 7,
  uint32 = 8,
  uint64 = 9,
  float16 = 10,
  bfloat16 = 11,
  float32 = 12,
  float64 = 13,
  complex32 = 14,   // two float16
  complex64 = 15,   // two float32
  complex128 = 16,  // two float64
  float8_e4m3fn = 17,
  float8_e5m2 = 18,
  float8_e4m3fnuz = 19,
  float8_e5m2fnuz = 20,
  float8_e8m0fnu = 21,
};

// Bytes of one element.
std::size_t size_of(DType dtype);
// Bytes of the float, or integer, that one element is made of: 4 for complex64, else size_of.
// This is the unit the `planes` codec splits by.
std::size_t scalar_size_of(DType dtype);
// Whether elements can be NaN or infinite (all float and complex types).
bool is_floating(DType dtype);
// PyTorch's name without "torch.": "bool", "float32", "bfloat16", "complex64", "float8_e4m3fn"...
std::string_view to_string(DType dtype);
// The inverse of to_string.
std::optional<DType> dtype_from_string(std::string_view name);
// A number from a file, or nothing when this version does not know it.
std::optional<DType> dtype_from_number(std::uint16_t number);
// Whether any element is NaN or infinite. `bytes` holds whole elements; a tail is ignored.
// Types without infinities (float8_e4m3fn, the fnuz kinds) are checked for NaN.
bool has_nonfinite(DType dtype, const std::byte* bytes, std::size_t size);

}  // namespace ckp
