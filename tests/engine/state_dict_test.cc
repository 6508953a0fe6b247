#include "ckp/state_dict.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>

#include "ckp/format/manifest.h"
#include "engine/sample_states.h"
#include "support/expect_error.h"

namespace ckp {
namespace {

using test::expect_error;

const std::vector<std::byte> some_bytes(96);

TensorView floats(std::vector<std::int64_t> shape, std::vector<std::int64_t> strides,
                  std::int64_t offset = 0) {
  return test::view_of(some_bytes, DType::float32, std::move(shape), std::move(strides), offset);
}

void expect_refused(std::string_view message, const TensorView& view) {
  StateDict state;
  expect_error(ErrorCode::invalid_argument, message, [&] { state.add("model/w", view); });
  EXPECT_TRUE(state.tensors().empty());
}

TEST(StateDict, ContiguousStrides) {
  EXPECT_EQ(contiguous_strides({}), std::vector<std::int64_t>{});
  EXPECT_EQ(contiguous_strides({5}), std::vector<std::int64_t>{1});
  EXPECT_EQ(contiguous_strides({2, 3, 4}), (std::vector<std::int64_t>{12, 4, 1}));
  EXPECT_EQ(contiguous_strides({2, 0, 4}), (std::vector<std::int64_t>{4, 4, 1}));
}

TEST(StateDict, ContiguousViewHasItsSize) {
  const TensorView view = contiguous_view(DType::complex128, {2, 3}, some_bytes.data());
  EXPECT_EQ(view.storage_size, 96u);
  EXPECT_EQ(view.strides, (std::vector<std::int64_t>{3, 1}));
  EXPECT_EQ(contiguous_view(DType::float32, {}, some_bytes.data()).storage_size, 4u);
  EXPECT_EQ(contiguous_view(DType::float32, {3, 0}, nullptr).storage_size, 0u);
  expect_error(ErrorCode::invalid_argument, "shape [4611686018427387904, 4]", [] {
    contiguous_view(DType::float32, {std::int64_t{1} << 62, 4}, nullptr);
  });
  expect_error(ErrorCode::invalid_argument, "shape [-1]",
               [] { contiguous_view(DType::float32, {-1}, nullptr); });
}

TEST(StateDict, TakesViewsThatFitTheirStorage) {
  StateDict state;
  state.add("all", floats({24}, {1}));
  state.add("expanded", floats({1000, 24}, {0, 1}));
  state.add("overlapping", floats({22, 3}, {1, 1}));
  state.add("last", floats({}, {}, 23));
  state.add("empty", floats({0, 7}, {7, 1}, 1000));
  state.add("null", contiguous_view(DType::int8, {0}, nullptr));
  EXPECT_EQ(state.tensors().size(), 6u);
}

TEST(StateDict, RefusesViewsThatLeaveTheirStorage) {
  expect_refused(
      "tensor model/w: shape [25], strides [1] and storage offset 0 reach to byte 100, "
      "but the storage has 96 bytes",
      floats({25}, {1}));
  expect_refused("storage offset 24 reach to byte 100", floats({}, {}, 24));
  expect_refused("reach to byte 104", floats({2, 2}, {24, 1}));
  expect_refused("the storage offset is -1", floats({1}, {1}, -1));
  expect_refused("beyond 2^63", floats({3}, {std::numeric_limits<std::int64_t>::max()}));
  expect_refused("beyond 2^63", floats({std::int64_t{1} << 40, std::int64_t{1} << 40}, {0, 0}));
  TensorView null = floats({1}, {1});
  null.storage = nullptr;
  expect_refused("the storage is null", null);
}

TEST(StateDict, RefusesWhatIsNoTensor) {
  expect_refused("1 strides for 2 dimensions", floats({2, 2}, {1}));
  expect_refused("dimension 1 has size -2 and stride 1", floats({2, -2}, {1, 1}));
  expect_refused("dimension 0 has size 2 and stride -1", floats({2}, {-1}));
  expect_refused("65 dimensions, the limit is 64",
                 floats(std::vector<std::int64_t>(65, 1), std::vector<std::int64_t>(65, 1)));
  TensorView view = floats({1}, {1});
  view.dtype = static_cast<DType>(99);
  expect_refused("dtype 99 is unknown", view);
  view.dtype = DType::float32;
  view.flags = 0x80;
  expect_refused("flags 0x80", view);
}

TEST(StateDict, ChecksShards) {
  TensorView view = floats({2, 3}, {3, 1});
  view.global_shape = {4, 3};
  expect_refused("global_shape has 2 and global_offset 0 dimensions, expected 2", view);
  view.global_offset = {3, 0};
  expect_refused("dimension 0: 2 elements at global offset 3 exceed the whole tensor's 4", view);
  view.global_offset = {2, 0};
  StateDict state;
  state.add("shard", view);
}

TEST(StateDict, RefusesBadNames) {
  const auto refused = [](std::string_view message, std::string name) {
    StateDict state;
    expect_error(ErrorCode::invalid_argument, message, [&] { state.add(name, floats({1}, {1})); });
    expect_error(ErrorCode::invalid_argument, message, [&] { state.set(name, 1); });
  };
  refused("the name is empty", "");
  refused("an empty segment", "/model");
  refused("an empty segment", "model/");
  refused("an empty segment", "model//w");
  refused("not UTF-8", "model/\xff");
  refused("holds a NUL", std::string("a\0b", 3));
  refused("has 4097 bytes, the limit is 4096", std::string(4097, 'a'));
  StateDict state;
  state.add(std::string(4096, 'a'), floats({1}, {1}));
  state.add("модель/w@1 ", floats({1}, {1}));
}

TEST(StateDict, RefusesARepeatedName) {
  StateDict state;
  state.add("model/w", floats({1}, {1}));
  expect_error(ErrorCode::invalid_argument, "tensor model/w: the name is already taken",
               [&] { state.add("model/w", floats({2}, {1})); });
  EXPECT_EQ(state.tensors().at("model/w").shape, std::vector<std::int64_t>{1});
}

TEST(StateDict, SetMakesMapsOnTheWay) {
  StateDict state;
  state.set("progress/epoch", 3);
  state.set("progress/step", 400);
  state.set("name", "cnn");
  state.set("progress/epoch", 4);
  EXPECT_EQ(find_value(state.values(), "progress/epoch")->as_int(), 4);
  EXPECT_EQ(find_value(state.values(), "progress/step")->as_int(), 400);
  EXPECT_EQ(find_value(state.values(), "progress")->as_map().size(), 2u);
  EXPECT_EQ(find_value(state.values(), "name")->as_string(), "cnn");
  for (const auto* absent : {"", "nam", "name/x", "progress/", "progress/none", "/progress"}) {
    EXPECT_EQ(find_value(state.values(), absent), nullptr) << absent;
  }
}

TEST(StateDict, SetDoesNotWriteThroughAPlainValue) {
  StateDict state;
  state.set("a/b", 1);
  expect_error(ErrorCode::invalid_argument, "value a/b/c: a/b is a plain value, not a map",
               [&] { state.set("a/b/c", 2); });
  EXPECT_EQ(find_value(state.values(), "a/b")->as_int(), 1);
}

}  // namespace
}  // namespace ckp
