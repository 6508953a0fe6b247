#include "selection.h"

#include <algorithm>

#include "name_pattern.h"

namespace ckp::libtorch {
namespace {

bool any_fits(const std::vector<std::string>& patterns, std::string_view name) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [&](const std::string& pattern) { return name_fits(pattern, name); });
}

}  // namespace

bool takes(const RestoreSelection& selection, std::string_view name) {
  if (any_fits(selection.exclude, name)) return false;
  return selection.include.empty() || any_fits(selection.include, name);
}

std::string stored_name(const RestoreSelection& selection, std::string_view here) {
  const std::pair<const std::string, std::string>* best = nullptr;
  for (const auto& rename : selection.rename) {
    if (!here.starts_with(rename.second)) continue;
    if (best == nullptr || rename.second.size() > best->second.size()) best = &rename;
  }
  if (best == nullptr) return std::string(here);
  return best->first + std::string(here.substr(best->second.size()));
}

std::string name_here(const RestoreSelection& selection, std::string_view stored) {
  const std::pair<const std::string, std::string>* best = nullptr;
  for (const auto& rename : selection.rename) {
    if (!stored.starts_with(rename.first)) continue;
    if (best == nullptr || rename.first.size() > best->first.size()) best = &rename;
  }
  if (best == nullptr) return std::string(stored);
  return best->second + std::string(stored.substr(best->first.size()));
}

}  // namespace ckp::libtorch
