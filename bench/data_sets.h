// Bytes that look like what trainers save. Seeded: the same on every machine and run.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace ckp::bench {

struct DataSet {
  std::string name;
  std::size_t scalar_size = 4;
  std::vector<std::byte> bytes;
};

// Weights of a trained layer: normal, standard deviation 0.02.
std::vector<float> trained_weights(std::size_t count, unsigned seed);
// Adam's second moment: a mean of squared gradients, whose scale differs from row to row.
std::vector<float> second_moments(std::size_t count, unsigned seed);

// The same weights, float32 or bfloat16, each moved by about a hundredth.
DataSet trained_a_little(const DataSet& weights);

// fp32_weights, fp32_second_moment, bf16_weights, zeros, noise; `size` bytes each (a multiple of
// 4096).
std::vector<DataSet> all_data_sets(std::size_t size);

}  // namespace ckp::bench
