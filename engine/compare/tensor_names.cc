#include "compare/tensor_names.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "ckp/closest_name.h"
#include "ckp/compare.h"

namespace ckp {
namespace {

bool matches_glob(std::string_view pattern, std::string_view name) {
  std::size_t p = 0, n = 0;
  std::size_t star = std::string_view::npos, retry = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      retry = n;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == name[n])) {
      ++p;
      ++n;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++retry;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

}  // namespace

bool matches_name(std::string_view pattern, std::string_view name) {
  if (pattern.find_first_of("*?") != std::string_view::npos) return matches_glob(pattern, name);
  if (!name.starts_with(pattern)) return false;
  return name.size() == pattern.size() || pattern.ends_with('/') || name[pattern.size()] == '/';
}

Error no_such_tensor(std::string_view pattern, std::string_view place,
                     const std::vector<std::string_view>& names) {
  constexpr std::size_t shown = 3;
  std::vector<std::pair<std::size_t, std::string_view>> close;
  for (const std::string_view name : names) {
    close.emplace_back(edit_distance(pattern, name, pattern.size() + name.size() + 1), name);
  }
  std::sort(close.begin(), close.end());
  close.erase(std::unique(close.begin(), close.end()), close.end());
  std::vector<std::string_view> best;
  for (const auto& each : close) {
    if (best.size() < shown) best.push_back(each.second);
  }
  const std::string hint = best.empty()
                               ? std::string("; it has no tensors")
                               : fmt::format("; the closest names: {}", fmt::join(best, ", "));
  return Error(ErrorCode::not_found, fmt::format("{}: no tensor {}{}", place, pattern, hint));
}

}  // namespace ckp
