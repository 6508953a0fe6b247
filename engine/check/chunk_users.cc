#include "check/chunk_users.h"

#include <algorithm>

namespace ckp {

std::vector<std::string> tensors_in_chunk(const format::Manifest& manifest, const Uuid& own_pack,
                                          const format::ChunkAddress& address) {
  const auto is_chunk = [&](const format::StoragePiece& piece) {
    format::ChunkAddress at = manifest.references[piece.reference].address;
    if (at.pack.is_nil()) at.pack = own_pack;
    return at == address;
  };
  std::vector<std::string> names;
  for (const format::TensorEntry& tensor : manifest.tensors) {
    const auto& pieces = manifest.storages[tensor.storage].pieces;
    if (std::any_of(pieces.begin(), pieces.end(), is_chunk)) names.push_back(tensor.name);
  }
  return names;
}

}  // namespace ckp
