#include "convert/copy_chunks.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <vector>

#include "ckp/error.h"
#include "ckp/format/codec.h"
#include "ckp/format/difference.h"

namespace ckp {
namespace {

using format::ChunkReference;

class ChunkCopier {
 public:
  ChunkCopier(const Checkpoint::Parts& from, format::PackWriter& to) : from_(from), to_(to) {}

  // Copies the chunk behind `reference`, once, and returns the reference to the copy.
  ChunkReference copy(const ChunkReference& reference);
  // Adds what a piece with differences is, as a chunk without any.
  ChunkReference put_together(std::uint32_t storage, std::uint32_t piece);

 private:
  const OpenPack& pack_of(const ChunkReference& reference) const;

  const Checkpoint::Parts& from_;
  format::PackWriter& to_;
  std::map<format::ChunkAddress, std::uint32_t> numbers_;
};

const OpenPack& ChunkCopier::pack_of(const ChunkReference& reference) const {
  const bool own = reference.address.pack.is_nil();
  const Uuid uuid = own ? from_.record.id : reference.address.pack;
  const auto found = from_.packs.find(uuid);
  if (found != from_.packs.end()) return found->second;
  throw Error(ErrorCode::corrupt, fmt::format("{}: chunk {} lies in pack {}, which is missing",
                                              from_.name, reference.address.number, uuid.hex()));
}

ChunkReference ChunkCopier::copy(const ChunkReference& reference) {
  ChunkReference result{{Uuid{}, 0}, reference.raw_digest, reference.raw_size};
  const OpenPack& pack = pack_of(reference);
  const format::ChunkAddress address{pack.directory.header.uuid, reference.address.number};
  if (const auto known = numbers_.find(address); known != numbers_.end()) {
    result.address.number = known->second;
    return result;
  }
  const format::TableEntry* entry = pack.directory.find_chunk(address.number);
  const auto bad = [&](std::string_view problem) {
    throw Error(ErrorCode::corrupt, fmt::format("{}: chunk {} of {} {}", from_.name, address.number,
                                                pack.source->name(), problem));
  };
  if (entry == nullptr) bad("is missing");
  if (entry->raw_digest != reference.raw_digest || entry->raw_size != reference.raw_size) {
    bad(fmt::format("has raw digest {} and {} bytes, expected {} and {}", entry->raw_digest.hex(),
                    entry->raw_size, reference.raw_digest.hex(), reference.raw_size));
  }
  // Checked down to the checksum of the stored bytes; whoever reads the copy checks the rest.
  const format::Record record = format::read_record(*pack.source, pack.directory, *entry);
  result.address.number =
      to_.add_chunk(reference.raw_digest, reference.raw_size, record.header.codec, record.stored);
  numbers_.emplace(address, result.address.number);
  return result;
}

ChunkReference ChunkCopier::put_together(std::uint32_t storage, std::uint32_t piece) {
  const format::Manifest& manifest = from_.manifest;
  const auto read = [&](std::uint32_t number) {
    const ChunkReference& reference = manifest.references[number];
    std::vector<std::byte> raw(reference.raw_size);
    read_reference(from_.packs, from_.record.id, reference, raw);
    return raw;
  };
  const format::StoragePiece& from = manifest.storages[storage].pieces[piece];
  std::vector<std::byte> chunk = read(from.reference);
  const auto bytes = std::span(chunk).subspan(from.offset, from.length);
  for (const format::Difference& each : manifest.differences_of(storage, piece)) {
    format::apply_difference(each.kind, read(each.reference), bytes);
  }
  const auto tensor = std::ranges::find(manifest.tensors, storage, &format::TensorEntry::storage);
  const std::size_t scalar_size =
      tensor == manifest.tensors.end() ? 1 : scalar_size_of(tensor->dtype);
  const auto encoded = format::encode(bytes, scalar_size, format::Compression::balanced);
  const bool raw = encoded.codec == format::Codec::raw;
  const Digest digest = digest_of(bytes);
  const std::uint32_t number = to_.add_chunk(
      digest, from.length, encoded.codec, raw ? std::span<const std::byte>(bytes) : encoded.bytes);
  return {{Uuid{}, number}, digest, from.length};
}

}  // namespace

format::Manifest copy_chunks(const Checkpoint::Parts& from, format::PackWriter& to) {
  ChunkCopier copier(from, to);
  format::Manifest manifest = from.manifest;
  manifest.references.clear();
  manifest.differences.clear();
  std::map<std::uint32_t, std::uint32_t> numbers;  // of references: old, new
  const auto add = [&](const ChunkReference& reference) {
    manifest.references.push_back(reference);
    return static_cast<std::uint32_t>(manifest.references.size() - 1);
  };
  const auto copied = [&](std::uint32_t number) {
    const auto [at, is_new] = numbers.try_emplace(number);
    if (!is_new) return at->second;
    const ChunkReference& reference = from.manifest.references[number];
    try {
      return at->second = add(copier.copy(reference));
    } catch (const Error& error) {
      if (error.code() != ErrorCode::corrupt) throw;
      throw Error(ErrorCode::corrupt, error.what() + damage_report(from, reference.address));
    }
  };
  const auto each_piece = [&](const auto& visit) {
    for (std::uint32_t s = 0; s < manifest.storages.size(); ++s) {
      auto& pieces = manifest.storages[s].pieces;
      for (std::uint32_t p = 0; p < pieces.size(); ++p) {
        if (pieces[p].reference == format::no_reference) continue;
        visit(s, p, pieces[p], from.manifest.differences_of(s, p).empty());
      }
    }
  };
  // In the order of the references, but for what only pieces with differences need.
  std::vector<bool> left_out(from.manifest.references.size());
  for (const format::Difference& each : from.manifest.differences) {
    left_out[each.reference] = true;
    left_out[manifest.storages[each.storage].pieces[each.piece].reference] = true;
  }
  each_piece([&](std::uint32_t, std::uint32_t, const format::StoragePiece& piece, bool whole) {
    if (whole) left_out[piece.reference] = false;
  });
  for (const format::Patch& patch : manifest.patches) left_out[patch.reference] = false;
  for (std::uint32_t i = 0; i < left_out.size(); ++i) {
    if (!left_out[i]) copied(i);
  }
  each_piece([&](std::uint32_t s, std::uint32_t p, format::StoragePiece& piece, bool whole) {
    piece = whole ? format::StoragePiece{copied(piece.reference), piece.offset, piece.length}
                  : format::StoragePiece{add(copier.put_together(s, p)), 0, piece.length};
  });
  for (format::Patch& patch : manifest.patches) patch.reference = copied(patch.reference);
  return manifest;
}

}  // namespace ckp
