#include "tensor.h"

#include <stdexcept>
#include <string>

namespace ckp::peers {

DType dtype_of(const Tensor& tensor) {
  if (const auto dtype = dtype_from_string(tensor.dtype)) return *dtype;
  throw std::invalid_argument(std::string(tensor.name) + ": no dtype is called " + tensor.dtype);
}

std::vector<std::int64_t> shape_of(const Tensor& tensor) {
  return {tensor.shape, tensor.shape + tensor.rank};
}

std::vector<std::int64_t> strides_of(const Tensor& tensor) {
  return {tensor.strides, tensor.strides + tensor.rank};
}

}  // namespace ckp::peers
