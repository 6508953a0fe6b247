#include "check/chunk_users.h"

#include <algorithm>

namespace ckp {

std::vector<std::string> tensors_in_chunk(const format::Manifest& manifest, const Uuid& own_pack,
                                          const format::ChunkAddress& address) {
  const auto is_chunk = [&](const auto& user) {  // a piece, a difference or a patch
    format::ChunkAddress at = manifest.references[user.reference].address;
    if (at.pack.is_nil()) at.pack = own_pack;
    return at == address;
  };
  std::vector<std::string> names;
  for (const format::TensorEntry& tensor : manifest.tensors) {
    const auto& pieces = manifest.storages[tensor.storage].pieces;
    const auto patches = manifest.patches_of(tensor.storage);
    const auto differences = manifest.differences_of(tensor.storage);
    if (std::ranges::any_of(pieces, is_chunk) || std::ranges::any_of(differences, is_chunk) ||
        std::ranges::any_of(patches, is_chunk)) {
      names.push_back(tensor.name);
    }
  }
  return names;
}

}  // namespace ckp
