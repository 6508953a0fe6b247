#include "compare/tensor_comparer.h"

#include <cmath>

#include "ckp/error.h"
#include "compare/element_change.h"
#include "compare/nonfinite.h"
#include "compare/tensor_walk.h"

namespace ckp {
namespace {

bool same_type(const format::TensorEntry& a, const format::TensorEntry& b) {
  return a.dtype == b.dtype && a.shape == b.shape && a.global_shape == b.global_shape &&
         a.global_offset == b.global_offset;
}

ElementComparison::Flips flips_between(const format::TensorEntry& a, const format::TensorEntry& b) {
  const auto differ = [&](std::uint16_t flag) { return ((a.flags ^ b.flags) & flag) != 0; };
  const bool negative = differ(format::tensor_flag::negative);
  return {negative, negative != differ(format::tensor_flag::conjugate)};
}

bool same_bytes(const TensorBytes::Place& a, const TensorBytes::Place& b, std::uint64_t size) {
  return a.offset == b.offset && a.content == b.content && a.rest >= size && b.rest >= size;
}

// Also of a tensor in which no chunk differs, the answer is in the manifests alone.
template <class Equal>
bool reads_equal_chunks(Norms norms, const TensorWalk& walk, TensorBytes& a, TensorBytes& b,
                        const Equal& equal) {
  if (norms != Norms::changed_tensors) return norms == Norms::all_tensors;
  bool any_differs = false;
  walk_blocks(walk, a, b,
              [&](const TensorWalk::Row& block) { any_differs = any_differs || !equal(block); });
  return any_differs;
}

void set_result(const ElementSums& sums, std::uint64_t repeats, DType dtype, TensorChange& change) {
  change.changed = sums.changed * repeats;
  change.nonfinite_a = sums.nonfinite_a * repeats;
  change.nonfinite_b = sums.nonfinite_b * repeats;
  change.kind = change.changed == 0 ? TensorChange::Kind::unchanged : TensorChange::Kind::changed;
  if (!has_values(dtype)) return;
  change.norm_change = 0;
  change.max_change = 0;
  if (change.changed == 0 && !change.whole_norms) return;  // nothing was read, or not all
  const auto norm = [&](long double squares) {
    return static_cast<double>(std::sqrt(squares * static_cast<long double>(repeats)));
  };
  change.norm_a = norm(sums.a);
  change.norm_b = norm(sums.b);
  change.norm_change = norm(sums.change);
  change.max_change = static_cast<double>(sums.max_change);
}

}  // namespace

TensorComparer::TensorComparer(const Checkpoint& a, const Checkpoint& b, Norms norms)
    : a_(a), b_(b), norms_(norms), chunks_a_(a.parts()), chunks_b_(b.parts()) {}

TensorChange TensorComparer::compare(std::string_view name) {
  TensorChange change;
  change.name = name;
  const format::TensorEntry* const in_a = a_.manifest().find(name);
  const format::TensorEntry* const in_b = b_.manifest().find(name);
  if (in_a != nullptr) change.a = TensorType{in_a->dtype, in_a->shape};
  if (in_b != nullptr) change.b = TensorType{in_b->dtype, in_b->shape};
  if (in_a == nullptr || in_b == nullptr) {
    change.kind = in_a == nullptr ? TensorChange::Kind::only_in_b : TensorChange::Kind::only_in_a;
    return change;
  }
  if (!same_type(*in_a, *in_b)) {
    change.kind = TensorChange::Kind::other_type;
    return change;
  }
  try {
    compare_elements(*in_a, *in_b, change);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::corrupt) throw;
    TensorChange damaged;
    damaged.name = change.name;
    damaged.kind = TensorChange::Kind::unreadable;
    damaged.a = change.a;
    damaged.b = change.b;
    damaged.elements = change.elements;
    damaged.damage = error.what();
    return damaged;
  }
  return change;
}

void TensorComparer::compare_elements(const format::TensorEntry& a, const format::TensorEntry& b,
                                      TensorChange& change) {
  TensorBytes bytes_a(a_.manifest(), a, chunks_a_);
  TensorBytes bytes_b(b_.manifest(), b, chunks_b_);
  const TensorWalk walk(a, b);
  change.elements = walk.elements();
  const auto flips = flips_between(a, b);
  const auto equal = [&](const TensorWalk::Row& block) {
    return !flips.any() &&
           same_bytes(bytes_a.find(block.a), bytes_b.find(block.b), block.count * size_of(a.dtype));
  };
  const bool whole = reads_equal_chunks(norms_, walk, bytes_a, bytes_b, equal);
  std::optional<std::uint64_t> first;
  bool nan = false;
  const auto elements = ElementComparison::make(
      a.dtype, flips, [&](std::uint64_t position, const std::byte* element) {
        const std::uint64_t number = walk.number_at(position);
        if (first.has_value() && *first <= number) return;
        first = number;
        nan = kind_of_element(a.dtype, element) == ElementKind::nan;
      });
  walk_blocks(walk, bytes_a, bytes_b, [&](const TensorWalk::Row& block) {
    if (!equal(block)) {
      elements->add(bytes_a.read(block.a, block.count), bytes_b.read(block.b, block.count),
                    block.count, block.position);
    } else if (whole) {
      elements->add_equal(bytes_a.read(block.a, block.count), block.count);
    } else {
      change.whole_norms = false;
    }
  });
  set_result(elements->sums(), walk.repeats(), a.dtype, change);
  if (first.has_value()) change.new_nonfinite = nonfinite_element(*first, a.shape, nan);
}

}  // namespace ckp
