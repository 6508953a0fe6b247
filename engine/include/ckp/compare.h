// What two checkpoints differ in.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ckp/dtype.h"
#include "ckp/load.h"
#include "ckp/value.h"

namespace ckp {

// Of whole tensors, or of what was read of them.
enum class Norms {
  // Of the chunks that differ. Chunks with the same digest in both manifests are never read; of a
  // tensor that has some, the relative change is an upper bound.
  changed_chunks,
  // Of tensors that differ, in full: their equal chunks are read once, from A.
  changed_tensors,
  // Of every tensor.
  all_tensors,
};

struct CompareOptions {
  // Which tensors: see matches_name. Empty: all.
  std::string only = {};
  Norms norms = Norms::changed_chunks;
};

struct TensorType {
  DType dtype = DType::float32;
  std::vector<std::int64_t> shape = {};
  friend bool operator==(const TensorType&, const TensorType&) = default;
};

// A NaN or an infinity in a tensor.
struct NonfiniteElement {
  std::uint64_t number = 0;         // of the element, in row-major order
  std::vector<std::int64_t> index;  // the same by dimension
  bool nan = false;                 // else an infinity
};

struct TensorChange {
  enum class Kind { unchanged, changed, other_type, only_in_a, only_in_b, unreadable };
  std::string name;
  Kind kind = Kind::unchanged;
  std::optional<TensorType> a = {}, b = {};
  std::uint64_t elements = 0;
  // Elements with other bits; of complex numbers, in either component. A -0 for a 0 counts.
  std::uint64_t changed = 0;
  // Over the elements that are finite in both, complex numbers by their components. Nothing for
  // float8, which is compared by its bits.
  std::optional<double> norm_a = {}, norm_b = {};  // Euclidean
  std::optional<double> norm_change = {};          // of B - A
  std::optional<double> max_change = {};           // the largest absolute one
  // Elements that are NaN or infinite, of those that were read.
  std::uint64_t nonfinite_a = 0, nonfinite_b = 0;
  bool whole_norms = true;  // norm_a, norm_b and the counts above are of the whole tensor
  // The first in row-major order that is finite in A.
  std::optional<NonfiniteElement> new_nonfinite = {};
  std::string damage = {};  // of an unreadable one: file, chunk and offset
  // norm_change / norm_a; infinite when A is all zeros. An upper bound without whole_norms.
  std::optional<double> relative() const;
};

// Compares tensor by tensor, by name. Element by element where the chunks differ, whatever the
// strides on either side; a few chunks are in memory at a time, never a whole tensor. Damage of a
// chunk makes the tensors unreadable that need it, and nothing else. Error(not_found), with the
// closest names, when `only` matches no tensor of either.
std::vector<TensorChange> compare(const Checkpoint& a, const Checkpoint& b,
                                  const CompareOptions& options = {});

// A plain value that two maps do not share: nothing where one has none. Nested maps are compared
// by their members, which have paths ("progress/epoch").
struct ValueChange {
  std::string path;
  std::optional<Value> a = {}, b = {};
};
std::vector<ValueChange> compare(const Value::Map& a, const Value::Map& b);

// Whether a pattern means a tensor. '*' stands for any characters, slashes included, '?' for one;
// without either it means the tensor of that name and everything below it: "model" has
// "model/fc1.weight".
bool matches_name(std::string_view pattern, std::string_view name);

}  // namespace ckp
