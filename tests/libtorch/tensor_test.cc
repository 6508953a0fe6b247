#include "ckp/libtorch/tensor.h"

#include <cstring>

#include "small_net.h"

namespace ckp::test {
namespace {

using libtorch::add_tensor;
using libtorch::read_tensors;
using Tensors = std::map<std::string, at::Tensor>;

// Every type of the format that this LibTorch has: 13 in 1.13, 21 in 2.15.
std::vector<at::ScalarType> all_types() {
  std::vector<at::ScalarType> types;
  for (std::uint16_t number = 1; auto dtype = dtype_from_number(number); ++number) {
    if (auto type = libtorch::to_scalar_type(*dtype)) types.push_back(*type);
  }
  return types;
}

Tensors round_trip(const Tensors& tensors) {
  TemporaryDirectory folder;
  StateDict state;
  for (const auto& [name, tensor] : tensors) add_tensor(state, name, tensor);
  save_file(folder / "t.ckp", state);
  return read_tensors(open_file(folder / "t.ckp"));
}

// The bytes of the elements in row-major order, without interpreting the conj and neg bits.
std::string elements(const at::Tensor& tensor) {
  auto element = static_cast<std::size_t>(tensor.element_size());
  std::string bytes;
  std::vector<std::int64_t> at(static_cast<std::size_t>(tensor.dim()), 0);
  for (std::int64_t i = 0; i < tensor.numel(); ++i) {
    std::int64_t rest = i, offset = 0;
    for (std::int64_t d = tensor.dim() - 1; d >= 0; --d) {
      offset += rest % tensor.size(d) * tensor.stride(d);
      rest /= tensor.size(d);
    }
    const char* data = static_cast<const char*>(tensor.data_ptr());
    bytes.append(data + static_cast<std::size_t>(offset) * element, element);
  }
  return bytes;
}

void expect_identical(const Tensors& expected, const Tensors& found) {
  ASSERT_EQ(expected.size(), found.size());
  for (const auto& [name, tensor] : expected) {
    const at::Tensor& other = found.at(name);
    EXPECT_EQ(tensor.scalar_type(), other.scalar_type()) << name;
    EXPECT_EQ(tensor.sizes(), other.sizes()) << name;
    EXPECT_EQ(tensor.strides(), other.strides()) << name;
    EXPECT_EQ(tensor.is_conj(), other.is_conj()) << name;
    EXPECT_EQ(tensor.is_neg(), other.is_neg()) << name;
    EXPECT_EQ(tensor.requires_grad(), other.requires_grad()) << name;
    EXPECT_EQ(elements(tensor), elements(other)) << name;
  }
}

at::Tensor random_bits(at::ScalarType type, std::int64_t count) {
  auto bytes = at::randint(0, 256, {count * static_cast<std::int64_t>(c10::elementSize(type))},
                           at::TensorOptions(at::kByte));
  auto tensor = at::empty({count}, type);
  std::memcpy(tensor.data_ptr(), bytes.data_ptr(), bytes.nbytes());
  return tensor;
}

TEST(LibTorchDType, MapsBothWays) {
  EXPECT_GE(all_types().size(), 13u);
  for (at::ScalarType type : all_types()) {
    auto dtype = libtorch::to_dtype(type);
    ASSERT_TRUE(dtype) << type;
    EXPECT_EQ(libtorch::to_scalar_type(*dtype), type);
    EXPECT_EQ(size_of(*dtype), c10::elementSize(type)) << type;
  }
  EXPECT_EQ(libtorch::to_dtype(at::kQInt8), std::nullopt);
  EXPECT_EQ(libtorch::to_dtype(at::ScalarType::Undefined), std::nullopt);
}

TEST(LibTorchDType, TypesThatThisVersionLacksHaveNoScalarType) {
  for (std::uint16_t number = 1; number <= 21; ++number) {
    auto dtype = dtype_from_number(number);
    ASSERT_TRUE(dtype);
    auto type = libtorch::to_scalar_type(*dtype);
    if (type) {
      EXPECT_EQ(libtorch::to_dtype(*type), dtype) << number;
    } else {
      EXPECT_FALSE(libtorch::to_dtype(static_cast<at::ScalarType>(100)));
    }
  }
}

TEST(LibTorchTensor, EveryDTypeKeepsItsBits) {
  torch::manual_seed(3);
  Tensors tensors;
  for (at::ScalarType type : all_types()) {
    tensors[c10::toString(type)] =
        type == at::kBool ? at::randn({37}).gt(0) : random_bits(type, 37);
  }
  auto special = at::empty({4}, at::kFloat);
  const std::uint32_t bits[4] = {0x7fc01234u, 0xffc00001u, 0x80000000u, 0x00000001u};
  std::memcpy(special.data_ptr(), bits, sizeof bits);
  tensors["nan payload, -0, denormal"] = special;
  expect_identical(tensors, round_trip(tensors));
}

TEST(LibTorchTensor, EveryGeometryComesBack) {
  torch::manual_seed(4);
  auto big = at::randn({64, 64});
  Tensors tensors{
      {"0-d", at::scalar_tensor(1.5)},
      {"0-d int", at::scalar_tensor(7, at::kLong)},
      {"empty", at::empty({0, 3})},
      {"empty view", big.slice(0, 0, 0)},
      {"transposed", at::randn({5, 7}).t()},
      {"channels_last", at::randn({2, 3, 4, 5}).contiguous(at::MemoryFormat::ChannelsLast)},
      {"expanded", at::randn({1, 5}).expand({4, 5})},
      {"strided", big.slice(1, 2, 20, 3)},
      {"requires_grad", at::randn({3}).set_requires_grad(true)},
      {"conj", at::randn({4}, at::kComplexFloat).conj()},
      {"neg", at::imag(at::randn({4}, at::kComplexFloat).conj())},
  };
  ASSERT_TRUE(tensors["conj"].is_conj());
  ASSERT_TRUE(tensors["neg"].is_neg());
  expect_identical(tensors, round_trip(tensors));
}

TEST(LibTorchTensor, SharedStoragesStaySharedAndSmallViewsStaySmall) {
  auto base = at::arange(12, at::kFloat).view({3, 4});
  auto read = round_trip({{"base", base}, {"row", base[1]}, {"transposed", base.t()}});
  read.at("base").fill_(8);
  EXPECT_TRUE(read.at("row").eq(8).all().item<bool>());
  EXPECT_TRUE(read.at("transposed").eq(8).all().item<bool>());

  auto large = at::zeros({1000, 1000});
  auto small = round_trip({{"view", large.slice(0, 3, 5)}});
  EXPECT_EQ(small.at("view").storage().nbytes(), 2 * 1000 * sizeof(float));
}

TEST(LibTorchTensor, WhatCannotBeSavedIsNamed) {
  StateDict state;
  auto refuse = [&](ErrorCode code, const std::string& name, const at::Tensor& tensor) {
    return error_of(code, [&] { add_tensor(state, name, tensor); });
  };
  EXPECT_TRUE(contains(refuse(ErrorCode::invalid_argument, "model/u", at::Tensor()),
                       "model/u: the tensor is undefined"));
  EXPECT_TRUE(contains(refuse(ErrorCode::unsupported, "model/m", at::ones({2, 2}).to_mkldnn()),
                       "model/m: a tensor of this layout"));
  EXPECT_TRUE(state.tensors().empty());
}

TEST(LibTorchTensor, ReadingAMissingTensorNamesIt) {
  TemporaryDirectory folder;
  StateDict state;
  add_tensor(state, "model/a", at::zeros({2}));
  save_file(folder / "t.ckp", state);
  Checkpoint checkpoint = open_file(folder / "t.ckp");
  EXPECT_TRUE(at::equal(libtorch::read_tensor(checkpoint, "model/a"), at::zeros({2})));
  std::string message =
      error_of(ErrorCode::not_found, [&] { libtorch::read_tensor(checkpoint, "model/b"); });
  EXPECT_TRUE(contains(message, "model/b"));
}

}  // namespace
}  // namespace ckp::test
