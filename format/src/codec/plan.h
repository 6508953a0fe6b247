// Decides, from a sample, how the planes of a chunk should be stored.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <vector>

#include "ckp/format/codec.h"
#include "split.h"

namespace ckp::format {

// What the sample promises for one plane.
enum class PlanePlan {
  noise,     // leave it
  huffman,   // uneven bytes, no repetitions to hope for
  matches,   // almost constant, or repetitive
  smallest,  // whatever takes the fewest bytes
};

struct SplitPlan {
  bool rotated = false;
  std::array<PlanePlan, max_scalar_size> planes{};  // the first scalar_size count
};

// Elements of the first `count`, in blocks spread over them; the same places for the same numbers.
std::vector<std::byte> take_sample(std::span<const std::byte> raw, std::size_t count,
                                   std::size_t scalar_size);

// About how many bits an element of a sample takes in planes.
double sampled_bits(std::span<const std::byte> sample, std::size_t scalar_size);

// `count` elements of `scalar_size` bytes at the front of `raw`.
SplitPlan plan_split(std::span<const std::byte> raw, std::size_t count, std::size_t scalar_size,
                     Compression compression);

}  // namespace ckp::format
