// Promise P11: what comes back has the same bits.
#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <limits>
#include <random>

#include "engine/sample_states.h"
#include "support/seed.h"
#include "support/temporary_directory.h"

namespace ckp {
namespace {

using test::view_of;

constexpr std::array all_dtypes{
    DType::boolean,         DType::uint8,           DType::int8,
    DType::int16,           DType::int32,           DType::int64,
    DType::uint16,          DType::uint32,          DType::uint64,
    DType::float16,         DType::bfloat16,        DType::float32,
    DType::float64,         DType::complex32,       DType::complex64,
    DType::complex128,      DType::float8_e4m3fn,   DType::float8_e5m2,
    DType::float8_e4m3fnuz, DType::float8_e5m2fnuz, DType::float8_e8m0fnu};

// Through a file and back, with both kinds of compression; by read() and by load().
void expect_round_trip(const StateDict& state, std::uint32_t chunk_size = 1 << 20) {
  const test::TemporaryDirectory directory;
  for (const auto compression : {format::Compression::balanced, format::Compression::none}) {
    SaveOptions options;
    options.encode.compression = compression;
    options.encode.chunk_size = chunk_size;
    save_file(directory / "a.ckp", state, options);
    const Checkpoint checkpoint = open_file(directory / "a.ckp");
    test::expect_holds(checkpoint, state);

    std::vector<std::vector<std::byte>> memory;
    std::vector<TensorTarget> targets;
    for (const auto& [name, view] : state.tensors()) {
      memory.emplace_back(test::elements_of(view).size(), std::byte{0xa5});
      targets.push_back(
          {name, view.dtype, view.shape, contiguous_strides(view.shape), memory.back().data()});
    }
    checkpoint.load(targets);
    std::size_t i = 0;
    for (const auto& [name, view] : state.tensors()) {
      EXPECT_TRUE(memory[i++] == test::elements_of(view)) << name;
    }
  }
}

template <class T>
std::vector<std::byte> bytes_of(const std::vector<T>& values) {
  std::vector<std::byte> bytes(values.size() * sizeof(T));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

TEST(BitExact, Every16BitPattern) {
  std::vector<std::uint16_t> patterns(65536);
  for (std::size_t i = 0; i < patterns.size(); ++i) patterns[i] = static_cast<std::uint16_t>(i);
  const auto memory = bytes_of(patterns);
  for (const DType dtype : {DType::float16, DType::bfloat16}) {
    StateDict state;
    state.add("patterns", view_of(memory, dtype, {256, 256}, {256, 1}));
    expect_round_trip(state);
  }
}

TEST(BitExact, SpecialFloats) {
  const std::vector<std::uint32_t> singles{
      0x00000000, 0x80000000, 0x00000001, 0x807fffff, 0x7f800000, 0xff800000, 0x7fc00000,
      0x7fc00001, 0xffc12345, 0x7f800001, 0xffbfffff, 0x7fffffff, 0x3f800000, 0x00800000};
  const std::vector<std::uint64_t> doubles{
      0x0000000000000000, 0x8000000000000000, 0x0000000000000001, 0x800fffffffffffff,
      0x7ff0000000000000, 0xfff0000000000000, 0x7ff8000000000000, 0x7ff0000000000001,
      0xfff7ffffffffffff, 0x7fffffffffffffff, 0xfff8dead0000beef};
  const auto single_memory = bytes_of(singles);
  const auto double_memory = bytes_of(doubles);
  StateDict state;
  state.add("float32", view_of(single_memory, DType::float32, {14}, {1}));
  state.add("complex64", view_of(single_memory, DType::complex64, {7}, {1}));
  state.add("float64", view_of(double_memory, DType::float64, {11}, {1}));
  for (std::size_t i = 0; i < singles.size(); ++i) {
    state.add("single" + std::to_string(i),
              view_of(single_memory, DType::float32, {}, {}, static_cast<std::int64_t>(i)));
  }
  state.set("nan", std::bit_cast<double>(0x7ff0000000000001ull));
  state.set("minus_zero", -0.0);
  expect_round_trip(state);
}

TEST(BitExact, EveryDtypeInOddSizes) {
  std::vector<std::vector<std::byte>> memory;
  memory.reserve(all_dtypes.size() * 8);
  StateDict state;
  std::uint64_t seed = test::seed(11);
  for (const DType dtype : all_dtypes) {
    for (const std::int64_t count : {0, 1, 2, 3, 7, 255, 4097, 33'333}) {
      memory.push_back(
          test::random_bytes(static_cast<std::size_t>(count) * size_of(dtype), ++seed));
      const auto name = std::string(to_string(dtype)) + "/" + std::to_string(count);
      state.add(name, view_of(memory.back(), dtype, {count}, {1}));
    }
  }
  expect_round_trip(state);
  expect_round_trip(state, 4096);
}

TEST(BitExact, FlagsAndShards) {
  const auto memory = test::random_bytes(64, 1);
  TensorView view = view_of(memory, DType::complex64, {2, 4}, {4, 1});
  view.flags = format::tensor_flag::conjugate | format::tensor_flag::requires_grad;
  view.global_shape = {6, 4};
  view.global_offset = {2, 0};
  StateDict state;
  state.add("shard", view);
  const test::TemporaryDirectory directory;
  save_file(directory / "a.ckp", state);
  const Checkpoint checkpoint = open_file(directory / "a.ckp");
  const auto& entry = *checkpoint.manifest().find("shard");
  EXPECT_EQ(entry.flags, view.flags);
  EXPECT_EQ(entry.global_shape, view.global_shape);
  EXPECT_EQ(entry.global_offset, view.global_offset);
}

// Views of few storages: overlaps, gaps, repeats, transposes, several all_dtypes over the same
// bytes.
TEST(BitExact, RandomViewsOfSharedStorages) {
  std::mt19937_64 random(test::seed(1111));
  for (int round = 0; round < 60; ++round) {
    std::vector<std::vector<std::byte>> memory;
    for (int i = 0; i < 3; ++i) memory.push_back(test::random_bytes(random() % 40'000, random()));
    StateDict state;
    for (int i = 0; i < 25; ++i) {
      const auto& storage = memory[random() % memory.size()];
      const DType dtype = all_dtypes[random() % all_dtypes.size()];
      std::vector<std::int64_t> shape(random() % 4), strides(shape.size());
      for (std::size_t d = 0; d < shape.size(); ++d) {
        shape[d] = static_cast<std::int64_t>(random() % 12 + (random() % 16 != 0));
        strides[d] = static_cast<std::int64_t>(random() % 30);
      }
      const auto offset = static_cast<std::int64_t>(random() % 2000);
      try {
        state.add("v" + std::to_string(i), view_of(storage, dtype, shape, strides, offset));
      } catch (const Error&) {
        // Does not fit: not this one.
      }
    }
    expect_round_trip(state, round % 2 == 0 ? 4096 : 1 << 20);
    ASSERT_FALSE(HasFailure()) << "round " << round;
  }
}

}  // namespace
}  // namespace ckp
