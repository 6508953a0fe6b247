#include "compare/element_change.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <type_traits>
#include <utility>

namespace ckp {
namespace {

template <class T>
T load(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

float half_value(std::uint16_t bits) {
  const std::uint32_t sign = (bits & 0x8000u) << 16;
  const std::uint32_t exponent = (bits >> 10) & 0x1fu;
  const std::uint32_t fraction = bits & 0x3ffu;
  if (exponent == 0) {
    const float tiny = std::ldexp(static_cast<float>(fraction), -24);
    return sign != 0 ? -tiny : tiny;
  }
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f80'0000u | fraction << 13);
  return std::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
}

// How the scalars of a type are read. Sum: the type in which differences are exact enough and
// squares neither overflow nor vanish.
struct Half {
  using Bits = std::uint16_t;
  using Sum = double;
  static Sum value(Bits bits) { return half_value(bits); }
};
struct BrainHalf {
  using Bits = std::uint16_t;
  using Sum = double;
  static Sum value(Bits bits) { return std::bit_cast<float>(std::uint32_t{bits} << 16); }
};
struct Single {
  using Bits = std::uint32_t;
  using Sum = double;
  static Sum value(Bits bits) { return std::bit_cast<float>(bits); }
};
struct Double {
  using Bits = std::uint64_t;
  using Sum = long double;
  static Sum value(Bits bits) { return std::bit_cast<double>(bits); }
};
template <class T>
struct Integer {
  using Bits = std::make_unsigned_t<T>;
  // The 64 bits of its mantissa hold every difference of two integers.
  using Sum = std::conditional_t<sizeof(T) == 8, long double, double>;
  static Sum value(Bits bits) { return static_cast<Sum>(static_cast<T>(bits)); }
};

template <class Scalar, std::size_t components>
class Values final : public ElementComparison {
  using Bits = typename Scalar::Bits;
  using Sum = typename Scalar::Sum;

 public:
  Values(Flips flips, NewNonfinite found) : found_(std::move(found)) {
    constexpr Bits sign = static_cast<Bits>(Bits{1} << (8 * sizeof(Bits) - 1));
    flips_[0] = flips.real ? sign : Bits{0};
    if constexpr (components == 2) flips_[1] = flips.imaginary ? sign : Bits{0};
  }

  void add(const std::byte* a, const std::byte* b, std::uint64_t count,
           std::uint64_t position) override {
    Sum sum_a = 0, sum_b = 0, sum_change = 0, largest = 0;
    for (std::uint64_t i = 0; i < count; ++i) {
      bool is_changed = false, finite_a = true, finite_b = true;
      for (std::size_t c = 0; c < components; ++c) {
        const std::size_t at = (i * components + c) * sizeof(Bits);
        const Bits bits_a = load<Bits>(a + at);
        const Bits bits_b = static_cast<Bits>(load<Bits>(b + at) ^ flips_[c]);
        const Sum value_a = Scalar::value(bits_a);
        const Sum value_b = Scalar::value(bits_b);
        is_changed = is_changed || bits_a != bits_b;
        const bool here_a = std::isfinite(value_a);
        const bool here_b = std::isfinite(value_b);
        finite_a = finite_a && here_a;
        finite_b = finite_b && here_b;
        if (!here_a || !here_b) continue;
        const Sum change = value_b - value_a;
        sum_a += value_a * value_a;
        sum_b += value_b * value_b;
        sum_change += change * change;
        largest = std::max(largest, std::abs(change));
      }
      sums_.changed += is_changed ? 1 : 0;
      sums_.nonfinite_a += finite_a ? 0 : 1;
      sums_.nonfinite_b += finite_b ? 0 : 1;
      if (!finite_b && finite_a) found_(position + i, b + i * components * sizeof(Bits));
    }
    sums_.a += sum_a;
    sums_.b += sum_b;
    sums_.change += sum_change;
    sums_.max_change = std::max<long double>(sums_.max_change, largest);
  }

  void add_equal(const std::byte* a, std::uint64_t count) override {
    Sum sum = 0;
    std::uint64_t nonfinite = 0;
    for (std::uint64_t i = 0; i < count; ++i) {
      bool finite = true;
      for (std::size_t c = 0; c < components; ++c) {
        const Sum value = Scalar::value(load<Bits>(a + (i * components + c) * sizeof(Bits)));
        if (std::isfinite(value)) {
          sum += value * value;
        } else {
          finite = false;
        }
      }
      nonfinite += finite ? 0 : 1;
    }
    sums_.a += sum;
    sums_.b += sum;
    sums_.nonfinite_a += nonfinite;
    sums_.nonfinite_b += nonfinite;
  }

 private:
  std::array<Bits, components> flips_;
  NewNonfinite found_;
};

class BitsOnly final : public ElementComparison {
 public:
  BitsOnly(DType dtype, NewNonfinite found) : dtype_(dtype), found_(std::move(found)) {}

  void add(const std::byte* a, const std::byte* b, std::uint64_t count,
           std::uint64_t position) override {
    for (std::uint64_t i = 0; i < count; ++i) {
      sums_.changed += a[i] == b[i] ? 0 : 1;
      const bool finite_a = !has_nonfinite(dtype_, a + i, 1);
      const bool finite_b = !has_nonfinite(dtype_, b + i, 1);
      sums_.nonfinite_a += finite_a ? 0 : 1;
      sums_.nonfinite_b += finite_b ? 0 : 1;
      if (!finite_b && finite_a) found_(position + i, b + i);
    }
  }
  void add_equal(const std::byte* a, std::uint64_t count) override { add(a, a, count, 0); }

 private:
  DType dtype_;
  NewNonfinite found_;
};

template <class Scalar>
ElementKind kind_of_value(const std::byte* element, std::size_t components) {
  ElementKind kind = ElementKind::finite;
  for (std::size_t c = 0; c < components; ++c) {
    using Bits = typename Scalar::Bits;
    const auto value = Scalar::value(load<Bits>(element + c * sizeof(Bits)));
    if (std::isnan(value)) return ElementKind::nan;
    if (std::isinf(value)) kind = ElementKind::infinite;
  }
  return kind;
}

}  // namespace

bool has_values(DType dtype) {
  switch (dtype) {
    case DType::float8_e4m3fn:
    case DType::float8_e5m2:
    case DType::float8_e4m3fnuz:
    case DType::float8_e5m2fnuz:
    case DType::float8_e8m0fnu:
      return false;
    default:
      return true;
  }
}

ElementKind kind_of_element(DType dtype, const std::byte* element) {
  const std::size_t components = size_of(dtype) / scalar_size_of(dtype);
  switch (dtype) {
    case DType::float16:
    case DType::complex32:
      return kind_of_value<Half>(element, components);
    case DType::bfloat16:
      return kind_of_value<BrainHalf>(element, components);
    case DType::float32:
    case DType::complex64:
      return kind_of_value<Single>(element, components);
    case DType::float64:
    case DType::complex128:
      return kind_of_value<Double>(element, components);
    default:
      break;
  }
  if (!has_nonfinite(dtype, element, size_of(dtype))) return ElementKind::finite;
  // Of the kinds of one byte only e5m2 has infinities.
  const bool is_infinity = dtype == DType::float8_e5m2 && (load<std::uint8_t>(element) & 3) == 0;
  return is_infinity ? ElementKind::infinite : ElementKind::nan;
}

std::unique_ptr<ElementComparison> ElementComparison::make(DType dtype, Flips flips,
                                                           NewNonfinite found) {
  switch (dtype) {
    case DType::boolean:
    case DType::uint8:
      return std::make_unique<Values<Integer<std::uint8_t>, 1>>(flips, std::move(found));
    case DType::int8:
      return std::make_unique<Values<Integer<std::int8_t>, 1>>(flips, std::move(found));
    case DType::int16:
      return std::make_unique<Values<Integer<std::int16_t>, 1>>(flips, std::move(found));
    case DType::int32:
      return std::make_unique<Values<Integer<std::int32_t>, 1>>(flips, std::move(found));
    case DType::int64:
      return std::make_unique<Values<Integer<std::int64_t>, 1>>(flips, std::move(found));
    case DType::uint16:
      return std::make_unique<Values<Integer<std::uint16_t>, 1>>(flips, std::move(found));
    case DType::uint32:
      return std::make_unique<Values<Integer<std::uint32_t>, 1>>(flips, std::move(found));
    case DType::uint64:
      return std::make_unique<Values<Integer<std::uint64_t>, 1>>(flips, std::move(found));
    case DType::float16:
      return std::make_unique<Values<Half, 1>>(flips, std::move(found));
    case DType::bfloat16:
      return std::make_unique<Values<BrainHalf, 1>>(flips, std::move(found));
    case DType::float32:
      return std::make_unique<Values<Single, 1>>(flips, std::move(found));
    case DType::float64:
      return std::make_unique<Values<Double, 1>>(flips, std::move(found));
    case DType::complex32:
      return std::make_unique<Values<Half, 2>>(flips, std::move(found));
    case DType::complex64:
      return std::make_unique<Values<Single, 2>>(flips, std::move(found));
    case DType::complex128:
      return std::make_unique<Values<Double, 2>>(flips, std::move(found));
    default:
      return std::make_unique<BitsOnly>(dtype, std::move(found));
  }
}

}  // namespace ckp
