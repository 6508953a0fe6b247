#include "ckp/libtorch/digest.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/nn/module.h>

#include <map>
#include <span>

#include "ckp/error.h"
#include "ckp/libtorch/tensor.h"
#include "tensor_kinds.h"

namespace ckp::libtorch {
namespace {

void add_integer(DigestStream& stream, std::uint64_t value, std::size_t size) {
  std::byte bytes[8];
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(value >> (8 * i));
  stream.update({bytes, size});
}

// The same memory, read as it is: checkpoints keep the conj and neg bits apart from the bytes, too.
at::Tensor without_lazy_bits(at::Tensor tensor) {
  if (tensor.is_conj()) tensor = tensor.conj();
  if (tensor.is_neg()) tensor = tensor._neg_view();
  return tensor;
}

void add_weight(DigestStream& stream, const std::string& name, const at::Tensor& tensor) {
  check_dense(name, tensor);
  auto dtype = to_dtype(tensor.scalar_type());
  if (!dtype) {
    throw Error(ErrorCode::unsupported,
                fmt::format("{}: {} has no digest", name, c10::toString(tensor.scalar_type())));
  }
  add_integer(stream, name.size(), 4);
  stream.update(std::as_bytes(std::span(name)));
  add_integer(stream, static_cast<std::uint64_t>(*dtype), 2);
  add_integer(stream, static_cast<std::uint64_t>(tensor.dim()), 1);
  for (std::int64_t size : tensor.sizes()) {
    add_integer(stream, static_cast<std::uint64_t>(size), 8);
  }
  at::Tensor rows = without_lazy_bits(tensor.detach()).to(at::kCPU).contiguous();
  if (rows.numel() == 0) return;
  stream.update({static_cast<const std::byte*>(rows.data_ptr()), rows.nbytes()});
}

}  // namespace

Digest weights_digest(const torch::nn::Module& module, std::string_view part) {
  std::map<std::string, at::Tensor> weights;
  auto add = [&](const std::string& key, const at::Tensor& tensor) {
    const std::string name = std::string(part) + "/" + key;
    if (!tensor.defined() || is_dense(tensor)) {
      weights.emplace(name, tensor);
      return;
    }
    const TensorParts parts = take_apart(name, tensor);
    for (const auto& [component, dense] : parts.components) {
      weights.emplace(name + "/" + component, dense);
    }
  };
  for (const auto& item : module.named_parameters()) add(item.key(), item.value());
  for (const auto& item : module.named_buffers()) add(item.key(), item.value());
  DigestStream stream;
  for (const auto& [name, tensor] : weights) add_weight(stream, name, tensor);
  return stream.digest();
}

}  // namespace ckp::libtorch
