#include "data_sets.h"

#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>

namespace ckp::bench {
namespace {

template <class T>
std::vector<std::byte> to_bytes(const std::vector<T>& values) {
  std::vector<std::byte> bytes(values.size() * sizeof(T));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

// Round to nearest, ties to even, as PyTorch does; the values are finite.
std::uint16_t to_bf16(float value) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  bits += 0x7fff + ((bits >> 16) & 1);
  return static_cast<std::uint16_t>(bits >> 16);
}

std::vector<std::byte> noise(std::size_t size) {
  std::mt19937_64 random(5);
  std::vector<std::uint64_t> words(size / sizeof(std::uint64_t));
  for (auto& word : words) word = random();
  return to_bytes(words);
}

}  // namespace

std::vector<float> trained_weights(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0f, 0.02f);
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

std::vector<float> second_moments(std::size_t count, unsigned seed) {
  constexpr std::size_t row = 1024;
  constexpr float gradients = 16;  // that the mean still remembers
  std::mt19937 random(seed);
  std::lognormal_distribution<float> row_scale(0.0f, 1.0f);
  std::gamma_distribution<float> squares(gradients / 2, 2 / gradients);
  std::vector<float> values(count);
  float scale = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (i % row == 0) scale = 1e-6f * row_scale(random);
    values[i] = scale * squares(random);
  }
  return values;
}

DataSet trained_a_little(const DataSet& weights) {
  DataSet result = weights;
  std::mt19937 random(9);
  std::normal_distribution<float> normal(1.0f, 0.01f);
  const std::size_t size = weights.scalar_size;
  for (std::size_t i = 0; i < result.bytes.size(); i += size) {
    float value = 0;  // of a bfloat16, the upper half
    std::byte* const place = reinterpret_cast<std::byte*>(&value) + (sizeof value - size);
    std::memcpy(place, &result.bytes[i], size);
    value *= normal(random);
    const std::uint16_t half = to_bf16(value);
    size == 2 ? std::memcpy(&result.bytes[i], &half, size)
              : std::memcpy(&result.bytes[i], &value, size);
  }
  return result;
}

std::vector<DataSet> all_data_sets(std::size_t size) {
  std::vector<std::uint16_t> bf16;
  for (const float value : trained_weights(size / 2, 3)) bf16.push_back(to_bf16(value));
  return {{"fp32_weights", 4, to_bytes(trained_weights(size / 4, 1))},
          {"fp32_second_moment", 4, to_bytes(second_moments(size / 4, 2))},
          {"bf16_weights", 2, to_bytes(bf16)},
          {"zeros", 4, std::vector<std::byte>(size)},
          {"noise", 4, noise(size)}};
}

}  // namespace ckp::bench
