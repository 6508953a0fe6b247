#include "ckp/libtorch/tensor.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstring>
#include <memory>

#include "ckp/error.h"
#include "ckp/format/manifest.h"
#include "device_copies.h"
#include "tensor_kinds.h"

namespace ckp::libtorch {
namespace {

namespace tensor_flag = format::tensor_flag;

std::uint16_t flags_of(const at::Tensor& tensor) {
  unsigned flags = 0;
  if (tensor.is_conj()) flags |= tensor_flag::conjugate;
  if (tensor.is_neg()) flags |= tensor_flag::negative;
  if (tensor.requires_grad()) flags |= tensor_flag::requires_grad;
  return static_cast<std::uint16_t>(flags);
}

// The storage's bytes as a one-dimensional tensor on its own device.
at::Tensor bytes_of(const at::Tensor& tensor) {
  auto size = static_cast<std::int64_t>(tensor.storage().nbytes());
  return at::empty({0}, tensor.options().dtype(at::kByte).requires_grad(false))
      .set_(tensor.storage(), 0, {size}, {1});
}

at::Storage storage_from(const std::vector<std::byte>& bytes) {
  auto tensor = at::empty({static_cast<std::int64_t>(bytes.size())}, at::kByte);
  if (!bytes.empty()) std::memcpy(tensor.data_ptr(), bytes.data(), bytes.size());
  return tensor.storage();
}

at::Tensor make_tensor(const format::TensorEntry& entry, const at::Storage& storage) {
  auto type = to_scalar_type(entry.dtype);
  if (!type) {
    throw Error(ErrorCode::unsupported,
                fmt::format("{}: the checkpoint has {}, which this LibTorch does not know; use a "
                            "newer one, or read the bytes with ckp::Checkpoint::read",
                            entry.name, to_string(entry.dtype)));
  }
  auto tensor =
      at::empty({0}, *type).set_(storage, entry.storage_offset, entry.shape, entry.strides);
  if (entry.flags & tensor_flag::conjugate) tensor._set_conj(true);
  if (entry.flags & tensor_flag::negative) tensor._set_neg(true);
  if (entry.flags & tensor_flag::requires_grad) tensor.set_requires_grad(true);
  return tensor;
}

}  // namespace

std::string describe(const at::Tensor& tensor) {
  auto dtype = to_dtype(tensor.scalar_type());
  return fmt::format("shape [{}] {}", fmt::join(tensor.sizes(), ", "),
                     dtype ? to_string(*dtype) : c10::toString(tensor.scalar_type()));
}

at::Storage HostCopies::host_storage(const at::Tensor& tensor) {
  auto place = copies_.find(tensor.storage().unsafeGetStorageImpl());
  if (place != copies_.end()) return place->second.host;
  if (tensor.device().is_cpu()) return tensor.storage();
  copy_now(tensor);
  return host_storage(tensor);
}

void HostCopies::copy_now(const at::Tensor& tensor) {
  const void* key = tensor.storage().unsafeGetStorageImpl();
  if (copies_.contains(key)) return;
  const at::Tensor bytes = bytes_of(tensor);
  const bool goes_on = device_ != nullptr && !tensor.device().is_cpu();
  const at::Tensor host = goes_on ? device_->begin(bytes)
                                  : bytes.to(at::kCPU, at::kByte, /*non_blocking=*/false,
                                             /*copy=*/true);
  copies_.emplace(key, Copy{tensor.storage(), host.storage()});
}

void check_dense(std::string_view name, const at::Tensor& tensor) {
  if (!tensor.defined()) {
    throw Error(ErrorCode::invalid_argument, fmt::format("{}: the tensor is undefined", name));
  }
  if (!is_dense(tensor)) {
    throw Error(ErrorCode::unsupported,
                fmt::format("{}: only dense tensors can be used here", name));
  }
}

void check_savable(std::string_view name, const at::Tensor& tensor) {
  check_dense(name, tensor);
  if (to_dtype(tensor.scalar_type())) return;
  throw Error(ErrorCode::unsupported, fmt::format("{}: dtype {} cannot be saved", name,
                                                  c10::toString(tensor.scalar_type())));
}

TensorView tensor_view(std::string_view name, const at::Tensor& tensor, HostCopies& copies) {
  check_savable(name, tensor);
  auto storage = std::make_shared<at::Storage>(copies.host_storage(tensor));
  TensorView view;
  view.dtype = *to_dtype(tensor.scalar_type());
  view.shape = tensor.sizes().vec();
  view.strides = tensor.strides().vec();
  view.storage_offset = tensor.storage_offset();
  view.storage = storage->data_ptr().get();
  view.storage_size = storage->nbytes();
  view.flags = flags_of(tensor);
  view.owner = storage;
  return view;
}

void add_tensor(StateDict& state, std::string name, const at::Tensor& tensor) {
  HostCopies copies;
  if (!tensor.defined() || is_dense(tensor)) {
    TensorView view = tensor_view(name, tensor, copies);
    state.add(std::move(name), std::move(view));
    return;
  }
  TensorParts parts = take_apart(name, tensor);
  for (const auto& [component, dense] : parts.components) {
    const std::string full = name + "/" + component;
    state.add(full, tensor_view(full, dense, copies));
  }
  state.set(kind_path(name), std::move(parts.kind));
}

TensorTarget tensor_target(std::string name, const at::Tensor& tensor) {
  check_dense(name, tensor);
  auto dtype = to_dtype(tensor.scalar_type());
  if (!dtype || !tensor.device().is_cpu()) {
    throw Error(ErrorCode::unsupported,
                fmt::format("{}: only tensors on the CPU can be loaded into", name));
  }
  TensorTarget target;
  target.name = std::move(name);
  target.dtype = *dtype;
  target.shape = tensor.sizes().vec();
  target.strides = tensor.strides().vec();
  target.data = tensor.data_ptr();
  return target;
}

at::Tensor read_tensor(const Checkpoint& checkpoint, std::string_view name) {
  const format::TensorEntry* entry = checkpoint.manifest().find(name);
  if (entry != nullptr) {
    return make_tensor(*entry, storage_from(checkpoint.read_storage(entry->storage)));
  }
  const Value* kind = find_value(checkpoint.values(), kind_path(name));
  if (kind == nullptr) {
    throw Error(ErrorCode::not_found, fmt::format("{}: no tensor {}", checkpoint.name(), name));
  }
  return put_together(name, *kind, [&](const std::string& component) {
    return read_tensor(checkpoint, fmt::format("{}/{}", name, component));
  });
}

std::map<std::string, at::Tensor> read_tensors(const Checkpoint& checkpoint,
                                               std::string_view prefix) {
  std::map<std::string, at::Tensor> tensors;
  std::map<std::uint32_t, at::Storage> storages;
  for (const format::TensorEntry& entry : checkpoint.manifest().tensors) {
    if (!std::string_view(entry.name).starts_with(prefix)) continue;
    auto place = storages.find(entry.storage);
    if (place == storages.end()) {
      place = storages.emplace(entry.storage, storage_from(checkpoint.read_storage(entry.storage)))
                  .first;
    }
    tensors.emplace(entry.name, make_tensor(entry, place->second));
  }
  for_each_kind(checkpoint.values(), [&](const std::string& name, const Value& kind) {
    if (!std::string_view(name).starts_with(prefix)) return;
    at::Tensor whole = put_together(name, kind, [&](const std::string& component) {
      auto place = tensors.find(name + "/" + component);
      if (place == tensors.end()) {
        throw Error(ErrorCode::corrupt,
                    fmt::format("{}: {} lacks its {}", checkpoint.name(), name, component));
      }
      return place->second;
    });
    for (const std::string& component : component_names(name, kind)) {
      tensors.erase(name + "/" + component);
    }
    tensors.emplace(name, std::move(whole));
  });
  return tensors;
}

}  // namespace ckp::libtorch
