// Between LibTorch's tensors and the engine's. Bytes are never converted on the way: NaN payloads,
// negative zeros, strides, shared storages, and the conj and neg bits come back as they were.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "ckp/dtype.h"
#include "ckp/load.h"
#include "ckp/state_dict.h"

namespace ckp::libtorch {

class DeviceCopies;

// The engine's number of a LibTorch dtype, and back. Nothing where the other side has no such type:
// quantized types here, float8 and uint16..64 in a LibTorch that is older than they are.
std::optional<DType> to_dtype(at::ScalarType type);
std::optional<at::ScalarType> to_scalar_type(DType dtype);

// "shape [4, 8] float32", as messages say it.
std::string describe(const at::Tensor& tensor);

// Whether the tensor is a strided view of a storage with bytes. Sparse (COO and CSR), quantized and
// meta tensors are saved as the dense ones that they are made of: PartWriter::tensor, add_tensor
// and read_tensor do that.
bool is_dense(const at::Tensor& tensor);

// Error(unsupported) for a tensor that is not dense, Error(invalid_argument) for an undefined one;
// the message starts with `name`.
void check_dense(std::string_view name, const at::Tensor& tensor);
// The same, and Error(unsupported) for a dtype that the format lacks.
void check_savable(std::string_view name, const at::Tensor& tensor);

// Copies of storages, one per storage, so that what shares a storage shares it in the checkpoint.
class HostCopies {
 public:
  // `device`: what copies out of device memory while others go on; the caller waits for it.
  // Nothing: copied when the calls return.
  explicit HostCopies(DeviceCopies* device = nullptr) : device_(device) {}
  // All bytes of the tensor's storage: itself when it is in host memory and not copied.
  at::Storage host_storage(const at::Tensor& tensor);
  // Copies the tensor's storage also when it is in host memory: what changes later is not in it.
  void copy_now(const at::Tensor& tensor);

 private:
  struct Copy {
    at::Storage original;  // held: a freed one's address may come again
    at::Storage host;
  };
  DeviceCopies* device_;
  std::map<const void*, Copy> copies_;  // by the original
};

// The tensor as the engine saves it. The view keeps the memory alive, not its content: leave the
// tensor unchanged until the save has returned. `name` is for messages.
// Errors as check_savable.
TensorView tensor_view(std::string_view name, const at::Tensor& tensor, HostCopies& copies);

// Adds one tensor of any kind to a state dict; what is not dense adds "<name>/<component>" and a
// value. Error(unsupported) for nested tensors and other layouts than COO and CSR.
void add_tensor(StateDict& state, std::string name, const at::Tensor& tensor);

// The memory of a dense tensor on the CPU as the engine loads into it.
TensorTarget tensor_target(std::string name, const at::Tensor& tensor);

// Makes new tensors from a checkpoint, on the CPU, exactly as they were saved: strides, shared
// storages, conj and neg bits, requires_grad, sparse and quantized kinds. read_tensors takes every
// tensor whose name starts with `prefix`, under its full name. Error(not_found), Error(corrupt),
// Error(unsupported).
at::Tensor read_tensor(const Checkpoint& checkpoint, std::string_view name);
std::map<std::string, at::Tensor> read_tensors(const Checkpoint& checkpoint,
                                               std::string_view prefix = {});

}  // namespace ckp::libtorch
