// Decides, from a sample, how the planes of a chunk should be stored.
#pragma once

#include <array>
#include <cstddef>
#include <span>

#include "split.h"

namespace ckp::format {

// What the sample promises for one plane.
enum class PlanePlan {
  noise,    // leave it
  huffman,  // uneven bytes, no repetitions to hope for
  matches,  // almost constant, or repetitive
};

struct SplitPlan {
  bool rotated = false;
  std::array<PlanePlan, max_scalar_size> planes{};  // the first scalar_size count
};

// `count` elements of `scalar_size` bytes at the front of `raw`.
SplitPlan plan_split(std::span<const std::byte> raw, std::size_t count, std::size_t scalar_size);

}  // namespace ckp::format
