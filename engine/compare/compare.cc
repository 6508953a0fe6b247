#include "ckp/compare.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <set>

#include "ckp/error.h"
#include "compare/chunk_cache.h"
#include "compare/element_change.h"
#include "compare/nonfinite.h"
#include "compare/tensor_names.h"
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

// Compares tensors of two checkpoints one after the other.
class Comparer {
 public:
  Comparer(const Checkpoint& a, const Checkpoint& b, Norms norms)
      : a_(a), b_(b), norms_(norms), chunks_a_(a.parts()), chunks_b_(b.parts()) {}

  void compare_tensors(const format::TensorEntry& a, const format::TensorEntry& b,
                       TensorChange& change) {
    TensorBytes bytes_a(a_.manifest(), a, chunks_a_);
    TensorBytes bytes_b(b_.manifest(), b, chunks_b_);
    const TensorWalk walk(a, b);
    change.elements = walk.elements();
    const auto flips = flips_between(a, b);
    const auto equal = [&](const TensorWalk::Row& block) {
      return !flips.any() && same_bytes(bytes_a.find(block.a), bytes_b.find(block.b), bytes_a,
                                        bytes_b, block.count * size_of(a.dtype));
    };
    const bool whole = reads_equal_chunks(walk, bytes_a, bytes_b, equal);
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

 private:
  static bool same_bytes(const TensorBytes::Place& a, const TensorBytes::Place& b,
                         const TensorBytes& of_a, const TensorBytes& of_b, std::uint64_t size) {
    const format::ChunkReference& one = of_a.reference(a);
    const format::ChunkReference& other = of_b.reference(b);
    return a.offset == b.offset && one.raw_size == other.raw_size &&
           one.raw_digest == other.raw_digest && a.rest >= size && b.rest >= size;
  }

  // Also of a tensor in which no chunk differs, the answer is in the manifests alone.
  template <class Equal>
  bool reads_equal_chunks(const TensorWalk& walk, TensorBytes& a, TensorBytes& b,
                          const Equal& equal) const {
    if (norms_ != Norms::changed_tensors) return norms_ == Norms::all_tensors;
    bool any_differs = false;
    walk_blocks(walk, a, b,
                [&](const TensorWalk::Row& block) { any_differs = any_differs || !equal(block); });
    return any_differs;
  }

  static void set_result(const ElementSums& sums, std::uint64_t repeats, DType dtype,
                         TensorChange& change) {
    change.changed = sums.changed * repeats;
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

  const Checkpoint& a_;
  const Checkpoint& b_;
  Norms norms_;
  ChunkCache chunks_a_, chunks_b_;
};

std::set<std::string_view> names_of(const Checkpoint& a, const Checkpoint& b) {
  std::set<std::string_view> names;
  for (const Checkpoint* each : {&a, &b}) {
    for (const format::TensorEntry& tensor : each->manifest().tensors) names.insert(tensor.name);
  }
  return names;
}

TensorChange compare_named(std::string_view name, const Checkpoint& a, const Checkpoint& b,
                           Comparer& comparer) {
  TensorChange change;
  change.name = name;
  const format::TensorEntry* const in_a = a.manifest().find(name);
  const format::TensorEntry* const in_b = b.manifest().find(name);
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
    comparer.compare_tensors(*in_a, *in_b, change);
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

void compare_maps(const Value::Map* a, const Value::Map* b, const std::string& prefix,
                  std::vector<ValueChange>& changes) {
  std::set<std::string_view> keys;
  for (const Value::Map* each : {a, b}) {
    if (each == nullptr) continue;
    for (const auto& member : *each) keys.insert(member.first);
  }
  const auto find = [](const Value::Map* map, std::string_view key) -> const Value* {
    if (map == nullptr) return nullptr;
    const auto at = map->find(key);
    return at == map->end() ? nullptr : &at->second;
  };
  for (const std::string_view key : keys) {
    const Value* const in_a = find(a, key);
    const Value* const in_b = find(b, key);
    if (in_a != nullptr && in_b != nullptr && *in_a == *in_b) continue;
    const Value::Map* const map_a = in_a == nullptr ? nullptr : in_a->get_if<Value::Map>();
    const Value::Map* const map_b = in_b == nullptr ? nullptr : in_b->get_if<Value::Map>();
    const std::string path = prefix + std::string(key);
    // A map against a plain value is one change; so is an empty map, which has no members to name.
    const bool maps_only =
        (in_a == nullptr || map_a != nullptr) && (in_b == nullptr || map_b != nullptr);
    const bool any_members =
        (map_a != nullptr && !map_a->empty()) || (map_b != nullptr && !map_b->empty());
    if (maps_only && any_members) {
      compare_maps(map_a, map_b, path + "/", changes);
      continue;
    }
    ValueChange change;
    change.path = path;
    if (in_a != nullptr) change.a = *in_a;
    if (in_b != nullptr) change.b = *in_b;
    changes.push_back(std::move(change));
  }
}

}  // namespace

std::optional<double> TensorChange::relative() const {
  if (!norm_change.has_value()) return std::nullopt;
  if (*norm_change == 0) return 0.0;
  if (*norm_a == 0) return std::numeric_limits<double>::infinity();
  return *norm_change / *norm_a;
}

std::vector<TensorChange> compare(const Checkpoint& a, const Checkpoint& b,
                                  const CompareOptions& options) {
  const std::set<std::string_view> names = names_of(a, b);
  Comparer comparer(a, b, options.norms);
  std::vector<TensorChange> changes;
  for (const std::string_view name : names) {
    if (!options.only.empty() && !matches_name(options.only, name)) continue;
    changes.push_back(compare_named(name, a, b, comparer));
  }
  if (changes.empty() && !options.only.empty()) {
    throw no_such_tensor(options.only, fmt::format("{} and {}", a.name(), b.name()),
                         {names.begin(), names.end()});
  }
  return changes;
}

std::vector<ValueChange> compare(const Value::Map& a, const Value::Map& b) {
  std::vector<ValueChange> changes;
  compare_maps(&a, &b, "", changes);
  return changes;
}

}  // namespace ckp
