#include <c10/core/ScalarType.h>

#include <array>
#include <string_view>

#include "ckp/libtorch/tensor.h"

namespace ckp::libtorch {
namespace {

// By LibTorch's own names, because the enumerators of newer types do not exist in older versions.
struct Pair {
  DType dtype;
  std::string_view scalar_type;
};
constexpr std::array<Pair, 21> kPairs{{
    {DType::boolean, "Bool"},
    {DType::uint8, "Byte"},
    {DType::int8, "Char"},
    {DType::int16, "Short"},
    {DType::int32, "Int"},
    {DType::int64, "Long"},
    {DType::uint16, "UInt16"},
    {DType::uint32, "UInt32"},
    {DType::uint64, "UInt64"},
    {DType::float16, "Half"},
    {DType::bfloat16, "BFloat16"},
    {DType::float32, "Float"},
    {DType::float64, "Double"},
    {DType::complex32, "ComplexHalf"},
    {DType::complex64, "ComplexFloat"},
    {DType::complex128, "ComplexDouble"},
    {DType::float8_e4m3fn, "Float8_e4m3fn"},
    {DType::float8_e5m2, "Float8_e5m2"},
    {DType::float8_e4m3fnuz, "Float8_e4m3fnuz"},
    {DType::float8_e5m2fnuz, "Float8_e5m2fnuz"},
    {DType::float8_e8m0fnu, "Float8_e8m0fnu"},
}};

}  // namespace

std::optional<DType> to_dtype(at::ScalarType type) {
  for (const Pair& pair : kPairs) {
    if (pair.scalar_type == c10::toString(type)) return pair.dtype;
  }
  return std::nullopt;
}

std::optional<at::ScalarType> to_scalar_type(DType dtype) {
  for (const Pair& pair : kPairs) {
    if (pair.dtype != dtype) continue;
    for (int number = 0; number < static_cast<int>(at::ScalarType::NumOptions); ++number) {
      auto type = static_cast<at::ScalarType>(number);
      if (pair.scalar_type == c10::toString(type)) return type;
    }
  }
  return std::nullopt;
}

}  // namespace ckp::libtorch
