#include "check/chunk_users.h"

#include <algorithm>

namespace ckp {

std::vector<std::string> tensors_in_chunk(const format::Manifest& manifest, const Uuid& own_pack,
                                          const format::ChunkAddress& address) {
  const auto is_chunk = [&](const auto& user) {  // a piece, a difference or a patch
    if (user.reference == format::no_reference) return false;
    format::ChunkAddress at = manifest.references[user.reference].address;
    if (at.pack.is_nil()) at.pack = own_pack;
    return at == address;
  };
  std::vector<bool> uses(manifest.storages.size());
  for (std::uint32_t s = 0; s < uses.size(); ++s) {
    uses[s] = std::ranges::any_of(manifest.storages[s].pieces, is_chunk) ||
              std::ranges::any_of(manifest.differences_of(s), is_chunk) ||
              std::ranges::any_of(manifest.patches_of(s), is_chunk);
  }
  // Sources are not derived: they have been looked at.
  for (const format::DerivedPiece& each : manifest.derived) {
    if (uses[each.source]) uses[each.storage] = true;
  }
  std::vector<std::string> names;
  for (const format::TensorEntry& tensor : manifest.tensors) {
    if (uses[tensor.storage]) names.push_back(tensor.name);
  }
  return names;
}

}  // namespace ckp
