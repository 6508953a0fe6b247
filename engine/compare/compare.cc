#include "ckp/compare.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <set>

#include "ckp/artifacts.h"
#include "compare/tensor_comparer.h"
#include "compare/tensor_names.h"

namespace ckp {
namespace {

std::set<std::string_view> names_of(const Checkpoint& a, const Checkpoint& b) {
  std::set<std::string_view> names;
  for (const Checkpoint* each : {&a, &b}) {
    for (const format::TensorEntry& tensor : each->manifest().tensors) {
      if (!is_artifact(each->manifest(), tensor)) names.insert(tensor.name);
    }
  }
  return names;
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
  TensorComparer comparer(a, b, options.norms);
  std::vector<TensorChange> changes;
  for (const std::string_view name : names) {
    if (!options.only.empty() && !matches_name(options.only, name)) continue;
    changes.push_back(comparer.compare(name));
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
