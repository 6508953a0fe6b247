#include "check/salvage.h"

#include <algorithm>
#include <map>

namespace ckp {
namespace {

using format::Manifest;

// Copies tensors with their storages and references, each once, under new numbers.
class Salvager {
 public:
  Salvager(const Manifest& from, const Uuid& own_pack, const std::set<format::ChunkAddress>& lost)
      : from_(from), own_pack_(own_pack), lost_(lost) {}

  Salvage run() {
    result_.manifest.checkpoint = from_.checkpoint;
    result_.manifest.values = from_.values;
    for (const format::TensorEntry& tensor : from_.tensors) {
      if (is_whole(tensor.storage)) {
        result_.manifest.tensors.push_back(tensor);
        result_.manifest.tensors.back().storage = storage(tensor.storage);
      } else {
        result_.missing.push_back(tensor.name);
      }
    }
    return std::move(result_);
  }

 private:
  format::ChunkReference full(std::uint32_t reference) const {
    format::ChunkReference result = from_.references[reference];
    if (result.address.pack.is_nil()) result.address.pack = own_pack_;
    return result;
  }

  bool is_whole(std::uint32_t storage) const {
    const auto is_lost = [&](const auto& user) {  // a piece, a difference or a patch
      if (user.reference == format::no_reference) return false;
      return lost_.contains(full(user.reference).address);
    };
    return std::ranges::none_of(from_.storages[storage].pieces, is_lost) &&
           std::ranges::none_of(from_.differences_of(storage), is_lost) &&
           std::ranges::none_of(from_.patches_of(storage), is_lost) &&
           std::ranges::all_of(from_.derived_of(storage), [&](const format::DerivedPiece& each) {
             return is_whole(each.source);
           });
  }

  std::uint32_t storage(std::uint32_t number) {
    for (const format::DerivedPiece& each : from_.derived_of(number)) storage(each.source);
    auto& storages = result_.manifest.storages;
    const auto [at, is_new] =
        storages_.try_emplace(number, static_cast<std::uint32_t>(storages.size()));
    if (!is_new) return at->second;
    format::StorageEntry entry = from_.storages[number];
    for (format::StoragePiece& piece : entry.pieces) {
      if (piece.reference != format::no_reference) piece.reference = reference(piece.reference);
    }
    storages.push_back(std::move(entry));
    for (format::DerivedPiece derived : from_.derived_of(number)) {
      derived.storage = at->second;
      derived.source = storages_.at(derived.source);
      result_.manifest.derived.push_back(derived);
    }
    for (format::Difference difference : from_.differences_of(number)) {
      difference.storage = at->second;
      difference.reference = reference(difference.reference);
      result_.manifest.differences.push_back(difference);
    }
    for (format::Patch patch : from_.patches_of(number)) {
      patch.storage = at->second;
      patch.reference = reference(patch.reference);
      result_.manifest.patches.push_back(patch);
    }
    return at->second;
  }

  std::uint32_t reference(std::uint32_t number) {
    auto& references = result_.manifest.references;
    const auto [at, is_new] =
        references_.try_emplace(number, static_cast<std::uint32_t>(references.size()));
    if (is_new) references.push_back(full(number));
    return at->second;
  }

  const Manifest& from_;
  const Uuid& own_pack_;
  const std::set<format::ChunkAddress>& lost_;
  std::map<std::uint32_t, std::uint32_t> storages_, references_;  // old number -> new
  Salvage result_;
};

}  // namespace

Salvage salvage(const Manifest& manifest, const Uuid& own_pack,
                const std::set<format::ChunkAddress>& lost) {
  return Salvager(manifest, own_pack, lost).run();
}

}  // namespace ckp
