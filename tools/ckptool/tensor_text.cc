#include "tensor_text.h"

#include <fmt/format.h>

#include "render.h"

namespace ckp::tool {
namespace {

Json type_json(const std::optional<TensorType>& type) {
  if (!type.has_value()) return nullptr;
  return {{"dtype", std::string(to_string(type->dtype))}, {"shape", type->shape}};
}

}  // namespace

std::string_view to_string(TensorChange::Kind kind) {
  switch (kind) {
    case TensorChange::Kind::unchanged:
      return "unchanged";
    case TensorChange::Kind::changed:
      return "changed";
    case TensorChange::Kind::other_type:
      return "other type";
    case TensorChange::Kind::only_in_a:
      return "only in A";
    case TensorChange::Kind::only_in_b:
      return "only in B";
    case TensorChange::Kind::unreadable:
      return "unreadable";
  }
  return "";
}

std::string type_text(const TensorType& type) {
  return fmt::format("{} {}", shape_text(type.shape), ckp::to_string(type.dtype));
}

std::string relative_text(const TensorChange& change) {
  const auto relative = change.relative();
  if (!relative.has_value()) return "-";
  const bool is_bound = !change.whole_norms && *relative != 0;
  return (is_bound ? "<=" : "") + number_text(*relative);
}

std::string nonfinite_text(const NonfiniteElement& element) {
  return fmt::format("{} at {}", element.nan ? "NaN" : "infinity", shape_text(element.index));
}

Json to_json(const std::optional<double>& number) {
  return number.has_value() ? to_json(*number) : Json(nullptr);
}

Json to_json(const NonfiniteElement& element) {
  return {{"kind", element.nan ? "NaN" : "Infinity"},
          {"index", element.index},
          {"number", element.number}};
}

Json to_json(const TensorChange& change) {
  Json json = {{"name", change.name},
               {"change", to_string(change.kind)},
               {"a", type_json(change.a)},
               {"b", type_json(change.b)}};
  if (change.kind == TensorChange::Kind::unreadable) json["damage"] = change.damage;
  if (change.kind != TensorChange::Kind::changed) return json;
  const auto relative = change.relative();
  json["elements"] = change.elements;
  json["changed"] = change.changed;
  json["relative"] = to_json(relative);
  json["relative_is_bound"] = relative.has_value() && !change.whole_norms;
  json["norm_a"] = to_json(change.norm_a);
  json["norm_b"] = to_json(change.norm_b);
  json["norm_change"] = to_json(change.norm_change);
  json["max_change"] = to_json(change.max_change);
  json["first_nonfinite"] =
      change.new_nonfinite.has_value() ? to_json(*change.new_nonfinite) : Json(nullptr);
  return json;
}

}  // namespace ckp::tool
