// A tensor as Python describes it to the shared library (library.py has the same fields).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "ckp/dtype.h"

namespace ckp::peers {

struct Tensor {
  const char* name;
  const char* dtype;  // "float32", "bfloat16", ...
  std::size_t rank;
  const std::int64_t* shape;
  const std::int64_t* strides;  // in elements
  void* data;                   // of the first element
  std::uint64_t size;           // bytes from `data` to the end of the last element
};

// Throws std::invalid_argument for a name that is no dtype.
DType dtype_of(const Tensor& tensor);
std::vector<std::int64_t> shape_of(const Tensor& tensor);
std::vector<std::int64_t> strides_of(const Tensor& tensor);

}  // namespace ckp::peers
