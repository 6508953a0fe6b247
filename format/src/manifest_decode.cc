// Bytes to manifest. Every count is held against the section's length before anything is allocated.
#include <fmt/format.h>

#include <algorithm>

#include "ckp/format/wire.h"
#include "manifest_internal.h"

namespace ckp::format {
namespace {

constexpr std::uint16_t last_needed_section = static_cast<std::uint16_t>(Section::tensors);

[[noreturn]] void bad(std::string_view section, std::string_view what) {
  throw Error(ErrorCode::corrupt, fmt::format("manifest, section {}: {}", section, what));
}

// The counts at a section's start say how long it is; all products fit into 64 bits.
void expect_length(const Reader& in, std::uint64_t expected) {
  if (in.remaining() != expected) {
    throw Error(ErrorCode::corrupt,
                fmt::format("{}: its counts ask for {} more bytes, there are {}", in.what(),
                            expected, in.remaining()));
  }
}

Value::Map decode_map(std::span<const std::byte> payload, std::string_view section) {
  Value value = from_cbor(payload);
  auto* map = value.get_if<Value::Map>();
  if (map == nullptr) bad(section, "is not a CBOR map");
  return std::move(*map);
}

std::vector<ChunkReference> decode_references(std::span<const std::byte> payload) {
  Reader in(payload, "manifest, section references");
  const std::uint64_t packs = in.u32();
  const std::uint64_t count = in.u32();
  expect_length(in, packs * 16 + count * reference_row_size);
  std::vector<Uuid> uuids(packs + 1);  // index 0 is the manifest's own pack: nil
  for (std::size_t i = 1; i < uuids.size(); ++i) {
    uuids[i] = in.uuid();
    if (uuids[i] <= uuids[i - 1]) bad("references", "pack uuids are nil, repeat or do not rise");
  }
  std::vector<ChunkReference> references(count);
  for (auto& reference : references) {
    const std::uint32_t pack = in.u32();
    if (pack >= uuids.size()) {
      bad("references", fmt::format("pack is {}, there are {}", pack, packs));
    }
    reference.address.pack = uuids[pack];
  }
  for (auto& reference : references) reference.address.number = in.u32();
  for (auto& reference : references) reference.raw_size = in.u32();
  for (auto& reference : references) reference.raw_digest = in.digest();
  return references;
}

template <class Read>
void each_piece(std::vector<StorageEntry>& storages, Read read) {
  for (auto& storage : storages) {
    for (auto& piece : storage.pieces) read(piece);
  }
}

std::vector<StorageEntry> decode_storages(std::span<const std::byte> payload) {
  Reader in(payload, "manifest, section storages");
  const std::uint64_t count = in.u32();
  const std::uint64_t pieces = in.u32();
  expect_length(in, count * storage_row_size + pieces * piece_row_size);
  std::vector<StorageEntry> storages(count);
  for (auto& storage : storages) storage.size = in.u64();
  std::uint64_t left = pieces;
  for (auto& storage : storages) {
    const std::uint32_t own = in.u32();
    if (own > left) bad("storages", fmt::format("piece counts add up to more than {}", pieces));
    left -= own;
    storage.pieces.resize(own);
  }
  if (left != 0)
    bad("storages", fmt::format("piece counts add up to {}, expected {}", pieces - left, pieces));
  each_piece(storages, [&](StoragePiece& piece) { piece.reference = in.u32(); });
  each_piece(storages, [&](StoragePiece& piece) { piece.offset = in.u32(); });
  each_piece(storages, [&](StoragePiece& piece) { piece.length = in.u32(); });
  return storages;
}

void decode_names(Reader& in, std::vector<TensorEntry>& tensors, std::uint32_t size) {
  std::vector<std::uint32_t> ends(tensors.size());
  for (auto& end : ends) end = in.u32();
  const auto names = in.take(size);
  std::uint32_t begin = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    if (ends[i] < begin || ends[i] > size) {
      bad("tensors",
          fmt::format("entry {}: name end is {}, expected {} to {}", i, ends[i], begin, size));
    }
    const auto bytes = names.subspan(begin, ends[i] - begin);
    tensors[i].name.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    begin = ends[i];
  }
  if (begin != size) bad("tensors", fmt::format("names end at {}, expected {}", begin, size));
}

// Gives each tensor its rank's number of dimensions. The two sums were promised by the counts.
void decode_ranks(Reader& in, std::vector<TensorEntry>& tensors, std::uint64_t dimensions,
                  std::uint64_t shard_dimensions) {
  for (auto& tensor : tensors) {
    const std::uint8_t rank = in.u8();
    if (rank > dimensions) bad("tensors", "ranks add up to more dimensions than there are");
    dimensions -= rank;
    tensor.shape.resize(rank);
    tensor.strides.resize(rank);
  }
  for (auto& tensor : tensors) {
    const std::uint8_t has_global = in.u8();
    if (has_global == 0) continue;
    const std::size_t rank = tensor.shape.size();
    if (has_global != 1 || rank == 0) {
      bad("tensors", fmt::format("{}: has_global is {} at rank {}", tensor.name, has_global, rank));
    }
    if (rank > shard_dimensions) bad("tensors", "shards have more dimensions than there are");
    shard_dimensions -= rank;
    tensor.global_shape.resize(rank);
    tensor.global_offset.resize(rank);
  }
  if (dimensions != 0 || shard_dimensions != 0) {
    bad("tensors", "ranks add up to fewer dimensions than there are");
  }
}

void decode_numbers(Reader& in, std::vector<TensorEntry>& tensors,
                    std::vector<std::int64_t> TensorEntry::*column) {
  for (auto& tensor : tensors) {
    for (std::int64_t& value : tensor.*column) value = in.i64();
  }
}

std::vector<TensorEntry> decode_tensors(std::span<const std::byte> payload) {
  Reader in(payload, "manifest, section tensors");
  const std::uint64_t count = in.u32();
  const std::uint64_t dimensions = in.u32();
  const std::uint64_t shard_dimensions = in.u32();
  const std::uint32_t name_bytes = in.u32();
  expect_length(in, count * tensor_row_size + name_bytes +
                        (dimensions + shard_dimensions) * dimension_row_size);
  std::vector<TensorEntry> tensors(count);
  decode_names(in, tensors, name_bytes);
  for (auto& tensor : tensors) tensor.dtype = static_cast<DType>(in.u16());
  for (auto& tensor : tensors) tensor.flags = in.u16();
  for (auto& tensor : tensors) tensor.storage = in.u32();
  for (auto& tensor : tensors) tensor.storage_offset = in.i64();
  decode_ranks(in, tensors, dimensions, shard_dimensions);
  decode_numbers(in, tensors, &TensorEntry::shape);
  decode_numbers(in, tensors, &TensorEntry::strides);
  decode_numbers(in, tensors, &TensorEntry::global_shape);
  decode_numbers(in, tensors, &TensorEntry::global_offset);
  return tensors;
}

std::vector<Patch> decode_patches(std::span<const std::byte> payload) {
  Reader in(payload, "manifest, section patches");
  const std::uint64_t count = in.u32();
  expect_length(in, count * patch_row_size);
  if (count == 0) bad("patches", "there are none");
  std::vector<Patch> patches(count);
  for (Patch& patch : patches) patch.storage = in.u32();
  for (Patch& patch : patches) patch.reference = in.u32();
  for (Patch& patch : patches) patch.begin = in.u64();
  for (Patch& patch : patches) patch.length = in.u64();
  return patches;
}

std::vector<Difference> decode_differences(std::span<const std::byte> payload) {
  Reader in(payload, "manifest, section differences");
  const std::uint64_t count = in.u32();
  expect_length(in, count * difference_row_size);
  if (count == 0) bad("differences", "there are none");
  std::vector<Difference> differences(count);
  for (Difference& one : differences) one.storage = in.u32();
  for (Difference& one : differences) one.piece = in.u32();
  for (Difference& one : differences) one.reference = in.u32();
  for (Difference& one : differences) one.kind = static_cast<DifferenceKind>(in.u8());
  return differences;
}

std::vector<DerivedPiece> decode_derived(std::span<const std::byte> payload) {
  Reader in(payload, "manifest, section derived");
  const std::uint64_t count = in.u32();
  expect_length(in, count * derived_row_size);
  if (count == 0) bad("derived", "there are none");
  std::vector<DerivedPiece> derived(count);
  for (DerivedPiece& one : derived) one.storage = in.u32();
  for (DerivedPiece& one : derived) one.piece = in.u32();
  for (DerivedPiece& one : derived) one.source = in.u32();
  for (DerivedPiece& one : derived) one.rounding = static_cast<Rounding>(in.u8());
  return derived;
}

// Whether the section is known to this version.
bool decode_section(std::uint16_t number, std::span<const std::byte> payload, Manifest& manifest) {
  switch (static_cast<Section>(number)) {
    case Section::checkpoint:
      manifest.checkpoint = decode_map(payload, "checkpoint");
      return true;
    case Section::values:
      manifest.values = decode_map(payload, "values");
      return true;
    case Section::references:
      manifest.references = decode_references(payload);
      return true;
    case Section::storages:
      manifest.storages = decode_storages(payload);
      return true;
    case Section::tensors:
      manifest.tensors = decode_tensors(payload);
      return true;
    case Section::patches:
      manifest.patches = decode_patches(payload);
      return true;
    case Section::differences:
      manifest.differences = decode_differences(payload);
      return true;
    case Section::derived:
      manifest.derived = decode_derived(payload);
      return true;
    case Section::structure_reference:
      break;
  }
  return false;
}

}  // namespace

Manifest decode_manifest(std::span<const std::byte> raw) {
  Reader in(raw, "manifest");
  Manifest manifest;
  std::uint16_t previous = 0;
  std::uint16_t needed = 0;
  while (in.remaining() > 0) {
    const std::uint16_t number = in.u16();
    const std::uint16_t flags = in.u16();
    in.expect_zero(4);
    const auto payload = in.take(in.u64());
    if (number <= previous)
      bad(fmt::format("{}", number), fmt::format("follows section {}", previous));
    previous = number;
    if (number <= last_needed_section) ++needed;
    if (!decode_section(number, payload, manifest) && (flags & section_required) != 0) {
      throw Error(ErrorCode::newer_format,
                  fmt::format("manifest: section {} is required to read it and not known to this "
                              "version of ckpstore; use a newer one",
                              number));
    }
  }
  if (needed != last_needed_section) {
    bad("1 to 5", fmt::format("only {} of {} are there", needed, last_needed_section));
  }
  check_manifest(manifest, ErrorCode::corrupt);
  return manifest;
}

std::span<const Patch> Manifest::patches_of(std::uint32_t storage) const {
  const auto first = std::ranges::lower_bound(patches, storage, {}, &Patch::storage);
  const auto last = std::ranges::upper_bound(patches, storage, {}, &Patch::storage);
  return {first, last};
}

std::span<const Difference> Manifest::differences_of(std::uint32_t storage) const {
  const auto first = std::ranges::lower_bound(differences, storage, {}, &Difference::storage);
  const auto last = std::ranges::upper_bound(differences, storage, {}, &Difference::storage);
  return {first, last};
}

std::span<const Difference> Manifest::differences_of(std::uint32_t storage,
                                                     std::uint32_t piece) const {
  const auto all = differences_of(storage);
  const auto first = std::ranges::lower_bound(all, piece, {}, &Difference::piece);
  const auto last = std::ranges::upper_bound(all, piece, {}, &Difference::piece);
  return {first, last};
}

std::span<const DerivedPiece> Manifest::derived_of(std::uint32_t storage) const {
  const auto first = std::ranges::lower_bound(derived, storage, {}, &DerivedPiece::storage);
  const auto last = std::ranges::upper_bound(derived, storage, {}, &DerivedPiece::storage);
  return {first, last};
}

const TensorEntry* Manifest::find(std::string_view name) const {
  const auto found = std::lower_bound(
      tensors.begin(), tensors.end(), name,
      [](const TensorEntry& tensor, std::string_view wanted) { return tensor.name < wanted; });
  return found != tensors.end() && found->name == name ? &*found : nullptr;
}

}  // namespace ckp::format
