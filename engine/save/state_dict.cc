#include "ckp/state_dict.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdint>

#include "ckp/error.h"
#include "ckp/format/limits.h"
#include "ckp/format/manifest.h"

namespace ckp {
namespace {

using format::limits::name_size;
using format::limits::tensor_rank;

[[noreturn]] void refuse(const std::string& message) {
  throw Error(ErrorCode::invalid_argument, message);
}

void check_path(std::string_view path, std::string_view what) {
  if (path.empty()) refuse(fmt::format("{}: the name is empty", what));
  if (path.size() > name_size) {
    refuse(fmt::format("{} {}...: the name has {} bytes, the limit is {}", what, path.substr(0, 40),
                       path.size(), name_size));
  }
  if (!is_utf8(path)) refuse(fmt::format("{}: the name is not UTF-8", what));
  if (path.find('\0') != std::string_view::npos) {
    refuse(fmt::format("{} {}: the name holds a NUL", what, path.substr(0, path.find('\0'))));
  }
  if (path.front() == '/' || path.back() == '/' || path.find("//") != std::string_view::npos) {
    refuse(fmt::format("{} {}: the name has an empty segment between slashes", what, path));
  }
}

// What checks of one tensor need to say its name.
struct Checked {
  std::string_view name;
  const TensorView& tensor;

  [[noreturn]] void bad(const std::string& what) const {
    refuse(fmt::format("tensor {}: {}", name, what));
  }
};

void check_geometry(const Checked& checked) {
  const TensorView& tensor = checked.tensor;
  if (tensor.shape.size() > tensor_rank) {
    checked.bad(fmt::format("{} dimensions, the limit is {}", tensor.shape.size(), tensor_rank));
  }
  if (tensor.strides.size() != tensor.shape.size()) {
    checked.bad(
        fmt::format("{} strides for {} dimensions", tensor.strides.size(), tensor.shape.size()));
  }
  for (std::size_t d = 0; d < tensor.shape.size(); ++d) {
    if (tensor.shape[d] < 0 || tensor.strides[d] < 0) {
      checked.bad(fmt::format("dimension {} has size {} and stride {}; neither may be negative", d,
                              tensor.shape[d], tensor.strides[d]));
    }
  }
  if (tensor.storage_offset < 0) {
    checked.bad(fmt::format("the storage offset is {}", tensor.storage_offset));
  }
}

// One past the last touched byte, and the bytes of all elements; false when either passes 2^63.
bool extent(const TensorView& tensor, std::int64_t& end, std::int64_t& bytes) {
  const auto element = static_cast<std::int64_t>(size_of(tensor.dtype));
  std::int64_t last = tensor.storage_offset;
  bytes = element;
  for (std::size_t d = 0; d < tensor.shape.size(); ++d) {
    std::int64_t reach = 0;
    if (__builtin_mul_overflow(tensor.shape[d] - 1, tensor.strides[d], &reach) ||
        __builtin_add_overflow(last, reach, &last) ||
        __builtin_mul_overflow(bytes, tensor.shape[d], &bytes)) {
      return false;
    }
  }
  return !__builtin_add_overflow(last, 1, &last) && !__builtin_mul_overflow(last, element, &end);
}

void check_extent(const Checked& checked) {
  const TensorView& tensor = checked.tensor;
  if (std::find(tensor.shape.begin(), tensor.shape.end(), 0) != tensor.shape.end()) return;
  std::int64_t end = 0;
  std::int64_t bytes = 0;
  if (!extent(tensor, end, bytes)) checked.bad("shape and strides reach beyond 2^63 bytes");
  if (tensor.storage == nullptr) checked.bad("the storage is null, but there are elements");
  if (static_cast<std::uint64_t>(end) > tensor.storage_size) {
    checked.bad(
        fmt::format("shape [{}], strides [{}] and storage offset {} reach to byte {}, but the "
                    "storage has {} bytes",
                    fmt::join(tensor.shape, ", "), fmt::join(tensor.strides, ", "),
                    tensor.storage_offset, end, tensor.storage_size));
  }
}

void check_shard(const Checked& checked) {
  const TensorView& tensor = checked.tensor;
  if (tensor.global_shape.empty() && tensor.global_offset.empty()) return;
  const std::size_t rank = tensor.shape.size();
  if (tensor.global_shape.size() != rank || tensor.global_offset.size() != rank) {
    checked.bad(fmt::format("global_shape has {} and global_offset {} dimensions, expected {}",
                            tensor.global_shape.size(), tensor.global_offset.size(), rank));
  }
  for (std::size_t d = 0; d < rank; ++d) {
    const std::int64_t offset = tensor.global_offset[d];
    const std::int64_t whole = tensor.global_shape[d];
    if (offset < 0 || whole < 0 || offset > whole || tensor.shape[d] > whole - offset) {
      checked.bad(
          fmt::format("dimension {}: {} elements at global offset {} exceed the whole "
                      "tensor's {}",
                      d, tensor.shape[d], offset, whole));
    }
  }
}

void check_tensor(std::string_view name, const TensorView& tensor) {
  const Checked checked{name, tensor};
  if (!dtype_from_number(static_cast<std::uint16_t>(tensor.dtype))) {
    checked.bad(fmt::format("dtype {} is unknown", static_cast<unsigned>(tensor.dtype)));
  }
  if ((tensor.flags & ~format::tensor_flag::known) != 0) {
    checked.bad(fmt::format("flags {:#x} hold unknown bits; known are {:#x}", tensor.flags,
                            format::tensor_flag::known));
  }
  check_geometry(checked);
  check_extent(checked);
  check_shard(checked);
}

}  // namespace

std::vector<std::int64_t> contiguous_strides(const std::vector<std::int64_t>& shape) {
  std::vector<std::int64_t> strides(shape.size(), 1);
  for (std::size_t d = shape.size(); d-- > 1;) {
    // Dimensions without elements count as one, as in PyTorch. A product over 2^63 is caught by
    // StateDict::add, which sees a shape that no memory holds.
    const std::int64_t size = std::max<std::int64_t>(shape[d], 1);
    if (__builtin_mul_overflow(strides[d], size, &strides[d - 1])) strides[d - 1] = INT64_MAX;
  }
  return strides;
}

TensorView contiguous_view(DType dtype, std::vector<std::int64_t> shape, const void* data) {
  std::uint64_t size = size_of(dtype);
  for (const std::int64_t n : shape) {
    if (__builtin_mul_overflow(size, n, &size)) {
      refuse(fmt::format("shape [{}] is no shape of a tensor in memory", fmt::join(shape, ", ")));
    }
  }
  TensorView view;
  view.dtype = dtype;
  view.strides = contiguous_strides(shape);
  view.shape = std::move(shape);
  view.storage = data;
  view.storage_size = size;
  return view;
}

void StateDict::add(std::string name, TensorView tensor) {
  check_path(name, "tensor");
  check_tensor(name, tensor);
  const auto at = tensors_.lower_bound(name);
  if (at != tensors_.end() && at->first == name) {
    refuse(fmt::format("tensor {}: the name is already taken in this state dict", name));
  }
  tensors_.emplace_hint(at, std::move(name), std::move(tensor));
}

void StateDict::set(std::string_view path, Value value) {
  check_path(path, "value");
  Value::Map* map = &values_;
  for (std::size_t slash = path.find('/'), start = 0; slash != std::string_view::npos;
       start = slash + 1, slash = path.find('/', start)) {
    const auto at = map->try_emplace(std::string(path.substr(start, slash - start)), Value::Map{});
    map = at.first->second.get_if<Value::Map>();
    if (map == nullptr) {
      refuse(fmt::format("value {}: {} is a plain value, not a map", path, path.substr(0, slash)));
    }
  }
  const std::size_t last = path.rfind('/');
  (*map)[std::string(path.substr(last == std::string_view::npos ? 0 : last + 1))] =
      std::move(value);
}

const Value* find_value(const Value::Map& values, std::string_view path) {
  const Value::Map* map = &values;
  while (true) {
    const std::size_t slash = path.find('/');
    const auto at = map->find(path.substr(0, slash));
    if (at == map->end()) return nullptr;
    if (slash == std::string_view::npos) return &at->second;
    map = at->second.get_if<Value::Map>();
    if (map == nullptr) return nullptr;
    path.remove_prefix(slash + 1);
  }
}

}  // namespace ckp
