#include "check/index_obstacles.h"

#include "ckp/uuid.h"

namespace ckp {
namespace {

// "index", and what a rebuild renames that to: it takes a file for an old index, too.
bool is_name_of_index(std::string_view name) {
  constexpr std::string_view old = "index.old-";
  return name == "index" || (name.starts_with(old) && Uuid::from_hex(name.substr(old.size())));
}

}  // namespace

std::vector<std::filesystem::path> index_obstacles(const StoreCore& core) {
  std::vector<std::filesystem::path> found;
  const auto& root = core.layout().root;
  if (core.index_layout().root != root) return found;
  for (const std::string& name : core.fs().list(root)) {
    if (!is_name_of_index(name)) continue;
    const auto status = core.fs().status(root / name);
    if (status && !status->is_directory) found.push_back(root / name);
  }
  return found;
}

}  // namespace ckp
