// Comparing runs of elements, one type at a time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "ckp/dtype.h"

namespace ckp {

// Whether an element is NaN or infinite, and which.
enum class ElementKind { finite, infinite, nan };
ElementKind kind_of_element(DType dtype, const std::byte* element);

// What has been seen of two tensors so far. The sums are those of squares.
struct ElementSums {
  std::uint64_t changed = 0;
  std::uint64_t nonfinite_a = 0, nonfinite_b = 0;
  long double a = 0, b = 0, change = 0;
  long double max_change = 0;
};

class ElementComparison {
 public:
  // Bits that are flipped in B's components: the lazy negation or conjugation that only one of the
  // two has.
  struct Flips {
    bool real = false, imaginary = false;
    bool any() const { return real || imaginary; }
  };
  // Called with the position of an element that is NaN or infinite in B and finite in A.
  using NewNonfinite = std::function<void(std::uint64_t position, const std::byte* element)>;

  static std::unique_ptr<ElementComparison> make(DType dtype, Flips flips, NewNonfinite found);
  virtual ~ElementComparison() = default;

  // `count` elements that need no alignment; the first one's position is `position`.
  virtual void add(const std::byte* a, const std::byte* b, std::uint64_t count,
                   std::uint64_t position) = 0;
  // Elements that are the same on both sides.
  virtual void add_equal(const std::byte* a, std::uint64_t count) = 0;

  const ElementSums& sums() const { return sums_; }

 protected:
  ElementSums sums_;
};

// Whether elements of the type have values to calculate with: all but float8.
bool has_values(DType dtype);

}  // namespace ckp
