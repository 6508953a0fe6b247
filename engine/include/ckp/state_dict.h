// What a checkpoint holds: named tensors and plain values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ckp/dtype.h"
#include "ckp/value.h"

namespace ckp {

// A tensor to be saved: a strided view of memory that the caller owns and leaves alone until the
// save has taken its snapshot (save.h says when). Tensors with the same `storage` pointer share
// their bytes in the checkpoint, too. Only the span from the first to the last touched byte is
// stored.
struct TensorView {
  DType dtype = DType::float32;
  std::vector<std::int64_t> shape;    // empty: a 0-dimensional tensor, one element
  std::vector<std::int64_t> strides;  // in elements, none negative; same length as shape
  std::int64_t storage_offset = 0;    // in elements of dtype
  const void* storage = nullptr;      // may be null when the tensor has no elements
  std::uint64_t storage_size = 0;     // bytes
  std::uint16_t flags = 0;            // format::tensor_flag
  // For a shard: the whole tensor's shape, and where this part starts. Empty: not a shard.
  std::vector<std::int64_t> global_shape;
  std::vector<std::int64_t> global_offset;
  // NaN or infinity in it makes the checkpoint `nonfinite`. For state where those are legitimate,
  // say false.
  bool check_finite = true;
  // Optional: keeps the memory alive as long as the state dict.
  std::shared_ptr<const void> owner;
};

// Strides of a row-major tensor without gaps.
std::vector<std::int64_t> contiguous_strides(const std::vector<std::int64_t>& shape);
// A contiguous tensor at `data`.
TensorView contiguous_view(DType dtype, std::vector<std::int64_t> shape, const void* data);

// Names are paths with slashes, the part first: "model/conv1.weight",
// "optimizer/conv1.weight/exp_avg". UTF-8, at most 4096 bytes, not empty, no NUL; empty segments
// are refused.
class StateDict {
 public:
  // Throws Error(invalid_argument) for a bad or repeated name, a view that leaves its storage, or
  // shape and strides that do not fit each other.
  void add(std::string name, TensorView tensor);
  // Sets the plain value at a path, making maps on the way: set("progress/epoch", 3). Throws
  // Error(invalid_argument) when a segment on the way is no map.
  void set(std::string_view path, Value value);

  // For memory that is still being filled, such as a copy out of a GPU: a save calls `wait` before
  // it reads any tensor, on whatever thread that is, perhaps more than once. What it throws makes
  // the save fail.
  void when_readable(std::function<void()> wait) { wait_ = std::move(wait); }
  void wait_readable() const {
    if (wait_) wait_();
  }

  const std::map<std::string, TensorView, std::less<>>& tensors() const { return tensors_; }
  const Value::Map& values() const { return values_; }

 private:
  std::map<std::string, TensorView, std::less<>> tensors_;
  Value::Map values_;
  std::function<void()> wait_;
};

// A value by path ("progress/epoch") in nested maps, or nullptr.
const Value* find_value(const Value::Map& values, std::string_view path);

// Memory to load a tensor into. Shape and dtype must be the stored ones; strides may differ.
struct TensorTarget {
  std::string name;
  DType dtype = DType::float32;
  std::vector<std::int64_t> shape;
  std::vector<std::int64_t> strides;
  void* data = nullptr;  // of the first element
};

}  // namespace ckp
