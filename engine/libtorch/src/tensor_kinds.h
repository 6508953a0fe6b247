// Tensors that are no dense view of a storage (sparse, quantized, meta), as the dense tensors that
// they are made of. In a checkpoint these stand under "<name>/<component>", and what is left to say
// in the values under "<part>/tensor_kinds/<rest of the name>/=":
//
//   layout      components                        more values
//   sparse_coo  indices, values                   coalesced
//   sparse_csr  crow_indices, col_indices, values
//   quantized   int_repr [scales, zero_points]    scale, zero_point; with scales instead: axis
//   meta                                          strides
//
// and for all of them: dtype (PyTorch's name; of quantized ones LibTorch's), shape, requires_grad.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ckp/value.h"

namespace ckp::libtorch {

struct TensorParts {
  Value::Map kind;
  std::vector<std::pair<std::string, at::Tensor>> components;  // by name, dense
};
// Of a tensor that is not dense. Error(unsupported), starting with `name`, for kinds that cannot be
// saved: nested, CSC and block layouts, other quantization schemes.
TensorParts take_apart(std::string_view name, const at::Tensor& tensor);

// The inverse. `component` gives the dense tensor of that name. Error(mismatch), starting with
// `name`, for a kind that no take_apart has written.
at::Tensor put_together(std::string_view name, const Value& kind,
                        const std::function<at::Tensor(const std::string&)>& component);
// The names that put_together will ask for.
std::vector<std::string> component_names(std::string_view name, const Value& kind);

// The path of the kind of tensor `name`, which begins with its part: "model/tensor_kinds/w/=".
std::string kind_path(std::string_view name);
// Calls `action` with the name and the kind of every tensor of a checkpoint that is not dense.
void for_each_kind(const Value::Map& values,
                   const std::function<void(const std::string&, const Value&)>& action);

// "sparse_coo, shape [3, 4] float32".
std::string describe_kind(const Value& kind);
// Whether both can hold each other's content: the same layout, shape and dtype.
bool same_kind(const Value& a, const Value& b);

}  // namespace ckp::libtorch
