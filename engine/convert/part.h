// Names of tensors and values are paths whose first segment is the part.
#pragma once

#include <string>
#include <string_view>

namespace ckp {

constexpr std::string_view model_part = "model";
// Where a checkpoint made from a safetensors file keeps that file's metadata.
constexpr std::string_view safetensors_part = "safetensors";

inline std::string_view part_of(std::string_view name) { return name.substr(0, name.find('/')); }

inline std::string in_part(std::string_view part, std::string_view name) {
  return std::string(part) + "/" + std::string(name);
}

// A name without its part; a name that is nothing but its part stays.
inline std::string_view without_part(std::string_view name) {
  const std::size_t slash = name.find('/');
  return slash == std::string_view::npos ? name : name.substr(slash + 1);
}

}  // namespace ckp
