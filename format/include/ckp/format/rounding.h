// float32 numbers rounded to two bytes (spec/format.md, "Section 7"). Pure functions; safe to call
// from any number of threads at once.
#pragma once

#include <cstddef>
#include <span>

#include "ckp/format/manifest.h"

namespace ckp::format {

constexpr bool is_known(Rounding rounding) {
  return rounding == Rounding::bfloat16 || rounding == Rounding::float16;
}

// `out` takes two bytes for each four of `source`.
void round_floats(Rounding rounding, std::span<const std::byte> source, std::span<std::byte> out);

// Whether round_floats() would make exactly the bytes of `rounded`, half as many as those of
// `source`. At the speed of memory where they are; ends soon where they are not.
bool is_rounding(Rounding rounding, std::span<const std::byte> source,
                 std::span<const std::byte> rounded);

}  // namespace ckp::format
