#include "plan.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "zstd_frame.h"

namespace ckp::format {
namespace {

// 4 KiB of every plane, in blocks spread over the chunk: enough to know an entropy within 0.05
// bits, and little beside the chunk.
constexpr std::size_t sample_elements = 4096;
constexpr std::size_t sample_block = 256;

// Measured on weights, Adam moments and integers: Huffman codes cannot go below one bit a byte,
// and above 7.8 bits decoding costs more than the bytes it saves.
constexpr double matches_below = 1.2;
constexpr double noise_above = 7.8;
// `fast`: a plane is worth the time where it shrinks by a fifth; `archive`: by next to nothing.
constexpr double noise_above_fast = 6.4;
constexpr double noise_above_archive = 7.93;  // of a sample of noise, 7.955 is to be expected

using Bits = std::array<double, max_scalar_size>;

// n * log2(n) for every count that a sample can have.
const std::array<float, sample_elements + 1>& count_bits() {
  static const auto table = [] {
    std::array<float, sample_elements + 1> made{};
    for (std::size_t n = 2; n < made.size(); ++n) {
      made[n] = static_cast<float>(static_cast<double>(n) * std::log2(static_cast<double>(n)));
    }
    return made;
  }();
  return table;
}

// Order-0 entropy in bits a byte.
double entropy(std::span<const std::byte> bytes) {
  // Two histograms, because equal neighbours would wait for each other's increment.
  std::array<std::uint32_t, 256> even{};
  std::array<std::uint32_t, 256> odd{};
  std::size_t i = 0;
  for (; i + 2 <= bytes.size(); i += 2) {
    ++even[std::to_integer<std::size_t>(bytes[i])];
    ++odd[std::to_integer<std::size_t>(bytes[i + 1])];
  }
  if (i < bytes.size()) ++even[std::to_integer<std::size_t>(bytes[i])];
  const auto& bits = count_bits();
  double sum = bits[bytes.size()];
  for (std::size_t value = 0; value < 256; ++value) sum -= bits[even[value] + odd[value]];
  return sum / static_cast<double>(bytes.size());
}

Bits measure(std::span<const std::byte> sample, std::size_t scalar_size, bool rotated) {
  const std::size_t count = sample.size() / scalar_size;
  std::vector<std::byte> split(sample.size());
  std::array<std::byte*, max_scalar_size> planes{};
  for (std::size_t k = 0; k < scalar_size; ++k) planes[k] = split.data() + k * count;
  split_planes(sample.data(), count, scalar_size, rotated, planes);
  Bits bits{};
  for (std::size_t k = 0; k < scalar_size; ++k) bits[k] = entropy({planes[k], count});
  return bits;
}

double stored_bits(const Bits& bits, std::size_t scalar_size) {
  double sum = 0;
  for (std::size_t k = 0; k < scalar_size; ++k) sum += bits[k] > noise_above ? 8 : bits[k];
  return sum;
}

// Bytes that are no parts of larger numbers may be text, images or columns: try both on one piece.
bool has_repetitions(std::span<const std::byte> raw) {
  constexpr std::size_t piece_size = 32u << 10;
  const std::size_t size = std::min(raw.size(), piece_size);
  const auto piece = raw.subspan((raw.size() - size) / 2, size);
  std::vector<std::byte> out(size);
  const std::size_t huffman = compress_frame(ZstdMode::huffman, piece, out);
  const std::size_t matches = compress_frame(ZstdMode::matches, piece, out);
  if (matches == 0) return false;
  return huffman == 0 || matches < huffman - huffman / 32;
}

}  // namespace

std::vector<std::byte> take_sample(std::span<const std::byte> raw, std::size_t count,
                                   std::size_t scalar_size) {
  if (count <= sample_elements) {
    return {raw.begin(), raw.begin() + static_cast<std::ptrdiff_t>(count * scalar_size)};
  }
  std::vector<std::byte> sample;
  sample.reserve(sample_elements * scalar_size);
  constexpr std::size_t blocks = sample_elements / sample_block;
  for (std::size_t b = 0; b < blocks; ++b) {
    const std::size_t first = (count - sample_block) / (blocks - 1) * b;
    const auto bytes = raw.subspan(first * scalar_size, sample_block * scalar_size);
    sample.insert(sample.end(), bytes.begin(), bytes.end());
  }
  return sample;
}

double sampled_bits(std::span<const std::byte> sample, std::size_t scalar_size) {
  const double bits = stored_bits(measure(sample, scalar_size, false), scalar_size);
  if (scalar_size == 1) return bits;
  return std::min(bits, stored_bits(measure(sample, scalar_size, true), scalar_size));
}

SplitPlan plan_split(std::span<const std::byte> raw, std::size_t count, std::size_t scalar_size,
                     Compression compression) {
  const auto sample = take_sample(raw, count, scalar_size);
  SplitPlan plan;
  Bits bits = measure(sample, scalar_size, false);
  if (scalar_size > 1) {
    const Bits rotated = measure(sample, scalar_size, true);
    if (stored_bits(rotated, scalar_size) < stored_bits(bits, scalar_size)) {
      plan.rotated = true;
      bits = rotated;
    }
  }
  const bool archive = compression == Compression::archive;
  const bool fast = compression == Compression::fast;
  const double noise = archive ? noise_above_archive : fast ? noise_above_fast : noise_above;
  for (std::size_t k = 0; k < scalar_size; ++k) {
    plan.planes[k] = bits[k] > noise           ? PlanePlan::noise
                     : archive                 ? PlanePlan::smallest
                     : bits[k] < matches_below ? PlanePlan::matches
                                               : PlanePlan::huffman;
  }
  if (scalar_size > 1 || archive || fast) return plan;
  if (plan.planes[0] != PlanePlan::matches && has_repetitions(raw)) {
    plan.planes[0] = PlanePlan::matches;
  }
  return plan;
}

}  // namespace ckp::format
