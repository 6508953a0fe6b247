// Promise P17: a checkpoint is never larger than its raw bytes, 0.1 %, 4 KiB, and 64 bytes and the
// name for each tensor; on data made to be incompressible, and shapes made to be expensive.
#include <gtest/gtest.h>

#include <random>

#include "engine/sample_states.h"
#include "support/effort.h"
#include "support/figure.h"
#include "support/memory_directory.h"
#include "support/seed.h"
#include "support/temporary_directory.h"

namespace ckp {
namespace {

struct Size {
  std::uint64_t raw = 0, allowed = 0;
};

Size size_of_state(const StateDict& state) {
  std::uint64_t raw = 0, overhead = 4096;
  for (const auto& [name, view] : state.tensors()) {
    raw += view.storage_size;
    overhead += 64 + name.size();
  }
  return {raw, raw + raw / 1000 + overhead};
}

class SizeLimit : public testing::Test {
 protected:
  // How much of what is allowed on top of the raw bytes was used.
  double save(const StateDict& state) {
    const Size size = size_of_state(state);
    const auto path = directory_ / "a.ckp";
    save_file(path, state);
    const auto written = std::filesystem::file_size(path);
    EXPECT_LE(written, size.allowed)
        << state.tensors().size() << " tensors of " << size.raw << " bytes";
    if (written <= size.raw) return 0;
    return static_cast<double>(written - size.raw) / static_cast<double>(size.allowed - size.raw);
  }

  const test::TemporaryDirectory directory_{test::memory_directory()};
};

TEST_F(SizeLimit, HoldsForNoise) {
  std::mt19937_64 random(test::seed(1717));
  constexpr std::array dtypes{DType::uint8, DType::bfloat16, DType::float32, DType::float64};
  const std::uint64_t rounds = test::effort(60);
  double worst = 0;
  for (std::uint64_t round = 0; round < rounds; ++round) {
    const std::size_t tensors = 1 + random() % (round % 10 == 0 ? 2000 : 40);
    const std::size_t largest = round % 3 == 0 ? 64 : 100'000 / tensors + 1;
    std::vector<std::vector<std::byte>> memory;
    memory.reserve(tensors);
    StateDict state;
    for (std::size_t i = 0; i < tensors; ++i) {
      const DType dtype = dtypes[random() % dtypes.size()];
      auto count = static_cast<std::int64_t>(1 + random() % largest);
      std::vector<std::int64_t> shape{count};
      for (auto rank = 1 + random() % 4; rank > 1; --rank) {
        shape.push_back(static_cast<std::int64_t>(1 + random() % 3));
        count *= shape.back();
      }
      memory.push_back(
          test::random_bytes(static_cast<std::size_t>(count) * size_of(dtype), random()));
      std::string name = "model/layer" + std::to_string(random() % 1'000'000) + ".weight";
      name += std::to_string(i);
      state.add(name, test::view_of(memory.back(), dtype, shape, contiguous_strides(shape)));
    }
    worst = std::max(worst, save(state));
  }
  test::figure("P17 size limit", std::to_string(rounds) + " states of noise, " +
                                     std::to_string(static_cast<int>(100 * worst)) +
                                     " % of the allowance used");
}

// Adam's: a 4-byte `step` for every parameter.
TEST_F(SizeLimit, HoldsForThousandsOfTinyTensors) {
  const std::vector<std::byte> memory = test::random_bytes(40'000, 3);
  for (const int count : {1, 10, 100, 3000}) {
    std::vector<std::vector<std::byte>> steps;
    steps.reserve(static_cast<std::size_t>(count));
    StateDict state;
    for (int i = 0; i < count; ++i) {
      steps.emplace_back(memory.begin() + 4 * i, memory.begin() + 4 * i + 4);
      state.add("optimizer/block" + std::to_string(i) + ".weight/step",
                test::view_of(steps.back(), DType::float32, {}, {}));
    }
    save(state);
  }
}

// What is almost compressible: the encoders must not lose.
TEST_F(SizeLimit, HoldsForDataThatTemptsTheEncoders) {
  std::mt19937_64 random(test::seed(1718));
  for (int round = 0; round < 40; ++round) {
    auto memory = test::random_bytes(1 + random() % 3'000'000, random());
    const std::size_t period = 1 + random() % 9;
    const auto mask = static_cast<std::byte>(0xff >> (random() % 3));
    for (std::size_t i = 0; i < memory.size(); i += period) memory[i] &= mask;
    // Equal bytes at the start, noise behind what a sample would see.
    if (round % 4 == 0) std::fill_n(memory.begin(), memory.size() / 3, std::byte{7});
    StateDict state;
    const auto size = static_cast<std::int64_t>(memory.size());
    state.add("model/a", test::view_of(memory, DType::uint8, {size}, {1}));
    save(state);
  }
}

}  // namespace
}  // namespace ckp
