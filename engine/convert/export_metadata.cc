// Plain values as the strings of `__metadata__`.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "convert/export_plan.h"
#include "convert/part.h"

namespace ckp {
namespace {

constexpr std::size_t longest_text = 64u << 10;

std::string json_string(const std::string& text) { return nlohmann::json(text).dump(); }

// Nothing for what JSON cannot hold. No nested nlohmann::json: its destructor needs memory.
std::optional<std::string> to_json(const Value& value) {
  if (const auto* flag = value.get_if<bool>()) return *flag ? "true" : "false";
  if (const auto* integer = value.get_if<std::int64_t>()) return std::to_string(*integer);
  if (const auto* number = value.get_if<double>()) return nlohmann::json(*number).dump();
  if (const auto* text = value.get_if<std::string>()) return json_string(*text);
  if (value.get_if<Value::Bytes>() != nullptr) return std::nullopt;
  std::vector<std::string> members;
  if (const auto* list = value.get_if<Value::List>()) {
    for (const Value& item : *list) {
      auto member = to_json(item);
      if (!member) return std::nullopt;
      members.push_back(*std::move(member));
    }
    return fmt::format("[{}]", fmt::join(members, ","));
  }
  if (const auto* map = value.get_if<Value::Map>()) {
    for (const auto& [key, item] : *map) {
      const auto member = to_json(item);
      if (!member) return std::nullopt;
      members.push_back(json_string(key) + ":" + *member);
    }
    return fmt::format("{{{}}}", fmt::join(members, ","));
  }
  return "null";
}

std::optional<std::string> to_text(const Value& value) {
  if (const auto* text = value.get_if<std::string>()) return *text;
  // JSON has no NaN and no infinity.
  if (const auto* number = value.get_if<double>()) return fmt::format("{}", *number);
  return to_json(value);
}

// Adds the leaves below `path`; returns whether all of them could be written.
bool flatten(const std::string& path, const Value& value,
             std::map<std::string, std::string>& texts) {
  if (const auto* map = value.get_if<Value::Map>(); map != nullptr && !map->empty()) {
    bool complete = true;
    for (const auto& [key, item] : *map) {
      complete = flatten(in_part(path, key), item, texts) && complete;
    }
    return complete;
  }
  auto text = to_text(value);
  if (!text || text->size() > longest_text) return false;
  texts.insert_or_assign(path, *std::move(text));
  return true;
}

}  // namespace

std::map<std::string, std::string> metadata_values(const Value::Map& values,
                                                   std::vector<std::string>& left_out) {
  std::map<std::string, std::string> texts;
  const std::vector<std::string> skipped = left_out;
  for (const auto& [part, value] : values) {
    if (part == safetensors_part || std::ranges::count(skipped, part) != 0) continue;
    if (!flatten(part, value, texts)) left_out.push_back(part);
  }
  std::ranges::sort(left_out);
  left_out.erase(std::unique(left_out.begin(), left_out.end()), left_out.end());
  return texts;
}

}  // namespace ckp
