// Manifest to bytes; the columns are in spec/format.md, "Manifest".
#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>

#include "ckp/format/limits.h"
#include "ckp/format/wire.h"
#include "manifest_internal.h"

namespace ckp::format {
namespace {

// A count for a 32-bit field.
std::uint32_t count32(std::uint64_t count, std::string_view what) {
  if (count > UINT32_MAX) {
    throw Error(ErrorCode::invalid_argument,
                fmt::format("manifest: {} {}, more than 32 bits can count", count, what));
  }
  return static_cast<std::uint32_t>(count);
}

void add_section(Writer& out, Section section, std::span<const std::byte> payload) {
  out.u16(static_cast<std::uint16_t>(section));
  out.u16(section_required);
  out.u32(0);
  out.u64(payload.size());
  out.bytes(payload);
}

std::vector<std::byte> encode_references(const std::vector<ChunkReference>& references) {
  // Each other pack once; index 0 is the manifest's own.
  std::map<Uuid, std::uint32_t> packs;
  for (const auto& reference : references) {
    if (!reference.address.pack.is_nil()) packs.emplace(reference.address.pack, 0);
  }
  Writer out;
  out.u32(count32(packs.size(), "packs"));
  out.u32(count32(references.size(), "references"));
  std::uint32_t index = 0;
  for (auto& [uuid, number] : packs) {
    out.uuid(uuid);
    number = ++index;
  }
  packs[Uuid{}] = 0;
  for (const auto& reference : references) out.u32(packs.at(reference.address.pack));
  for (const auto& reference : references) out.u32(reference.address.number);
  for (const auto& reference : references) out.u32(reference.raw_size);
  for (const auto& reference : references) out.digest(reference.raw_digest);
  return out.release();
}

template <class Write>
void each_piece(const std::vector<StorageEntry>& storages, Write write) {
  for (const auto& storage : storages) {
    for (const auto& piece : storage.pieces) write(piece);
  }
}

std::vector<std::byte> encode_storages(const std::vector<StorageEntry>& storages) {
  std::uint64_t pieces = 0;
  for (const auto& storage : storages) pieces += storage.pieces.size();
  Writer out;
  out.u32(count32(storages.size(), "storages"));
  out.u32(count32(pieces, "pieces"));
  for (const auto& storage : storages) out.u64(storage.size);
  for (const auto& storage : storages) {
    out.u32(static_cast<std::uint32_t>(storage.pieces.size()));
  }
  each_piece(storages, [&](const StoragePiece& piece) { out.u32(piece.reference); });
  each_piece(storages, [&](const StoragePiece& piece) { out.u32(piece.offset); });
  each_piece(storages, [&](const StoragePiece& piece) { out.u32(piece.length); });
  return out.release();
}

void encode_names(Writer& out, const std::vector<TensorEntry>& tensors) {
  std::uint32_t end = 0;
  for (const auto& tensor : tensors) {
    end += static_cast<std::uint32_t>(tensor.name.size());
    out.u32(end);
  }
  for (const auto& tensor : tensors) out.text(tensor.name);
}

void encode_numbers(Writer& out, const std::vector<TensorEntry>& tensors,
                    std::vector<std::int64_t> TensorEntry::*column) {
  for (const auto& tensor : tensors) {
    for (const std::int64_t value : tensor.*column) out.i64(value);
  }
}

std::vector<std::byte> encode_tensors(const std::vector<TensorEntry>& tensors) {
  std::uint64_t dimensions = 0;
  std::uint64_t shard_dimensions = 0;
  std::uint64_t name_bytes = 0;
  for (const auto& tensor : tensors) {
    dimensions += tensor.shape.size();
    shard_dimensions += tensor.global_shape.size();
    name_bytes += tensor.name.size();
  }
  Writer out;
  out.u32(count32(tensors.size(), "tensors"));
  out.u32(count32(dimensions, "dimensions"));
  out.u32(count32(shard_dimensions, "dimensions of shards"));
  out.u32(count32(name_bytes, "bytes of names"));
  encode_names(out, tensors);
  for (const auto& tensor : tensors) out.u16(static_cast<std::uint16_t>(tensor.dtype));
  for (const auto& tensor : tensors) out.u16(tensor.flags);
  for (const auto& tensor : tensors) out.u32(tensor.storage);
  for (const auto& tensor : tensors) out.i64(tensor.storage_offset);
  for (const auto& tensor : tensors) out.u8(static_cast<std::uint8_t>(tensor.shape.size()));
  for (const auto& tensor : tensors) out.u8(tensor.global_shape.empty() ? 0 : 1);
  encode_numbers(out, tensors, &TensorEntry::shape);
  encode_numbers(out, tensors, &TensorEntry::strides);
  encode_numbers(out, tensors, &TensorEntry::global_shape);
  encode_numbers(out, tensors, &TensorEntry::global_offset);
  return out.release();
}

std::vector<std::byte> encode_patches(const std::vector<Patch>& patches) {
  Writer out;
  out.u32(count32(patches.size(), "patches"));
  for (const Patch& patch : patches) out.u32(patch.storage);
  for (const Patch& patch : patches) out.u32(patch.reference);
  for (const Patch& patch : patches) out.u64(patch.begin);
  for (const Patch& patch : patches) out.u64(patch.length);
  return out.release();
}

std::vector<std::byte> encode_differences(const std::vector<Difference>& differences) {
  Writer out;
  out.u32(count32(differences.size(), "differences"));
  for (const Difference& one : differences) out.u32(one.storage);
  for (const Difference& one : differences) out.u32(one.piece);
  for (const Difference& one : differences) out.u32(one.reference);
  for (const Difference& one : differences) out.u8(static_cast<std::uint8_t>(one.kind));
  return out.release();
}

std::vector<std::byte> encode_derived(const std::vector<DerivedPiece>& derived) {
  Writer out;
  out.u32(count32(derived.size(), "derived pieces"));
  for (const DerivedPiece& one : derived) out.u32(one.storage);
  for (const DerivedPiece& one : derived) out.u32(one.piece);
  for (const DerivedPiece& one : derived) out.u32(one.source);
  for (const DerivedPiece& one : derived) out.u8(static_cast<std::uint8_t>(one.rounding));
  return out.release();
}

}  // namespace

std::vector<std::byte> encode_manifest(const Manifest& manifest) {
  check_manifest(manifest, ErrorCode::invalid_argument);
  Writer out;
  add_section(out, Section::checkpoint, to_cbor(Value(manifest.checkpoint)));
  add_section(out, Section::values, to_cbor(Value(manifest.values)));
  add_section(out, Section::references, encode_references(manifest.references));
  add_section(out, Section::storages, encode_storages(manifest.storages));
  add_section(out, Section::tensors, encode_tensors(manifest.tensors));
  if (!manifest.derived.empty()) {
    add_section(out, Section::derived, encode_derived(manifest.derived));
  }
  if (!manifest.patches.empty()) {
    add_section(out, Section::patches, encode_patches(manifest.patches));
  }
  if (!manifest.differences.empty()) {
    add_section(out, Section::differences, encode_differences(manifest.differences));
  }
  if (out.size() > limits::manifest_raw_size) {
    throw Error(ErrorCode::invalid_argument, fmt::format("manifest: {} bytes, the limit is {}",
                                                         out.size(), limits::manifest_raw_size));
  }
  return out.release();
}

}  // namespace ckp::format
