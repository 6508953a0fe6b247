// The rules that every manifest keeps, written or read.
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "ckp/format/difference.h"
#include "ckp/format/limits.h"
#include "ckp/format/rounding.h"
#include "manifest_internal.h"

namespace ckp::format {
namespace {

// One entry of a section, as error messages name it.
struct Entry {
  ErrorCode code;
  std::string_view section;
  std::size_t index;
  std::string_view name = {};

  [[noreturn]] void bad(std::string_view what) const {
    const std::string shown = name.empty() ? "" : fmt::format(" ({})", name);
    throw Error(code,
                fmt::format("manifest, section {}, entry {}{}: {}", section, index, shown, what));
  }
};

// Sums and products of non-negative numbers that stay below 2^63, or nothing.
std::optional<std::int64_t> add(std::int64_t a, std::int64_t b) {
  std::int64_t sum = 0;
  if (__builtin_add_overflow(a, b, &sum)) return std::nullopt;
  return sum;
}
std::optional<std::int64_t> multiply(std::int64_t a, std::int64_t b) {
  std::int64_t product = 0;
  if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

void check_references(const Manifest& manifest, ErrorCode code) {
  for (std::size_t i = 0; i < manifest.references.size(); ++i) {
    const std::uint32_t size = manifest.references[i].raw_size;
    if (size > limits::chunk_raw_size) {
      Entry{code, "references", i}.bad(
          fmt::format("raw_size is {}, the limit is {}", size, limits::chunk_raw_size));
    }
  }
}

void check_rounding(Rounding rounding, const Entry& entry) {
  if (is_known(rounding)) return;
  const auto unknown = entry.code == ErrorCode::corrupt ? ErrorCode::newer_format : entry.code;
  Entry{unknown, entry.section, entry.index}.bad(
      fmt::format("rounding {} is not known to this version of ckpstore; use a newer one",
                  static_cast<unsigned>(rounding)));
}

// Of a piece without a chunk, at `begin` of its storage.
void check_derived(const Manifest& manifest, const Entry& entry, std::uint64_t begin) {
  const DerivedPiece& one = manifest.derived[entry.index];
  check_rounding(one.rounding, entry);
  const StoragePiece& piece = manifest.storages[one.storage].pieces[one.piece];
  constexpr std::uint32_t element = 2;
  if (piece.offset != 0 || piece.length == 0 || piece.length > limits::chunk_raw_size ||
      piece.length % element != 0 || begin % element != 0) {
    entry.bad(
        fmt::format("a piece of {} bytes at {}, offset {}, holds no whole elements, or more "
                    "than {} bytes",
                    piece.length, begin, piece.offset, limits::chunk_raw_size));
  }
  if (one.source >= manifest.storages.size()) {
    entry.bad(fmt::format("source is {}, there are {}", one.source, manifest.storages.size()));
  }
  const std::uint64_t size = manifest.storages[one.source].size;
  if (const std::uint64_t end = 2 * (begin + piece.length); end > size) {
    entry.bad(fmt::format("needs {} bytes of storage {}, which has {}", end, one.source, size));
  }
  if (!manifest.derived_of(one.source).empty()) {
    entry.bad(fmt::format("its source, storage {}, is derived itself", one.source));
  }
}

// Rows in order, and of pieces that are there and have no chunk. Before the storages, which look
// for their rows.
void check_derived_rows(const Manifest& manifest, ErrorCode code) {
  for (std::size_t i = 0; i < manifest.derived.size(); ++i) {
    const DerivedPiece& one = manifest.derived[i];
    const Entry entry{code, "derived", i};
    if (one.storage >= manifest.storages.size()) {
      entry.bad(fmt::format("storage is {}, there are {}", one.storage, manifest.storages.size()));
    }
    const auto& pieces = manifest.storages[one.storage].pieces;
    if (one.piece >= pieces.size()) {
      entry.bad(
          fmt::format("piece is {}, storage {} has {}", one.piece, one.storage, pieces.size()));
    }
    if (pieces[one.piece].reference != no_reference) {
      entry.bad(fmt::format("piece {} of storage {} has a chunk", one.piece, one.storage));
    }
    const auto place = [](const DerivedPiece& of) { return std::pair(of.storage, of.piece); };
    if (i > 0 && place(one) <= place(manifest.derived[i - 1])) {
      entry.bad("storages and pieces do not rise");
    }
  }
}

void check_storage(const Manifest& manifest, const Entry& entry) {
  const StorageEntry& storage = manifest.storages[entry.index];
  const auto all_derived = manifest.derived_of(static_cast<std::uint32_t>(entry.index));
  const auto first_derived = static_cast<std::size_t>(all_derived.data() - manifest.derived.data());
  std::size_t derived = 0;
  std::uint64_t sum = 0;  // cannot overflow: fewer than 2^32 pieces of less than 2^32 bytes
  for (std::size_t i = 0; i < storage.pieces.size(); ++i) {
    const StoragePiece& piece = storage.pieces[i];
    if (piece.reference == no_reference && derived < all_derived.size() &&
        all_derived[derived].piece == i) {
      check_derived(manifest, {entry.code, "derived", first_derived + derived}, sum);
      sum += piece.length;
      ++derived;
      continue;
    }
    if (piece.reference >= manifest.references.size()) {
      entry.bad(fmt::format("piece {}: reference is {}, there are {}", i, piece.reference,
                            manifest.references.size()));
    }
    const std::uint32_t chunk = manifest.references[piece.reference].raw_size;
    if (piece.length == 0 || piece.length > chunk || piece.offset > chunk - piece.length) {
      entry.bad(fmt::format("piece {}: {} bytes at offset {} do not lie in a chunk of {} bytes", i,
                            piece.length, piece.offset, chunk));
    }
    sum += piece.length;
  }
  if (sum != storage.size) {
    entry.bad(fmt::format("size is {}, its pieces hold {} bytes", storage.size, sum));
  }
}

void check_patch(const Manifest& manifest, const Entry& entry) {
  const Patch& patch = manifest.patches[entry.index];
  if (patch.storage >= manifest.storages.size()) {
    entry.bad(fmt::format("storage is {}, there are {}", patch.storage, manifest.storages.size()));
  }
  if (patch.reference >= manifest.references.size()) {
    entry.bad(
        fmt::format("reference is {}, there are {}", patch.reference, manifest.references.size()));
  }
  const std::uint64_t size = manifest.storages[patch.storage].size;
  if (patch.length == 0 || patch.length > size || patch.begin > size - patch.length) {
    entry.bad(fmt::format("{} bytes at {} do not lie in storage {} of {} bytes", patch.length,
                          patch.begin, patch.storage, size));
  }
  if (entry.index > 0 && patch.storage < manifest.patches[entry.index - 1].storage) {
    entry.bad("storages do not rise");
  }
}

void check_difference(const Manifest& manifest, const Entry& entry) {
  const Difference& one = manifest.differences[entry.index];
  if (one.storage >= manifest.storages.size()) {
    entry.bad(fmt::format("storage is {}, there are {}", one.storage, manifest.storages.size()));
  }
  const auto& pieces = manifest.storages[one.storage].pieces;
  if (one.piece >= pieces.size()) {
    entry.bad(fmt::format("piece is {}, storage {} has {}", one.piece, one.storage, pieces.size()));
  }
  if (pieces[one.piece].reference == no_reference) {
    entry.bad(fmt::format("piece {} of storage {} is derived", one.piece, one.storage));
  }
  if (one.reference >= manifest.references.size()) {
    entry.bad(
        fmt::format("reference is {}, there are {}", one.reference, manifest.references.size()));
  }
  const std::uint32_t size = manifest.references[one.reference].raw_size;
  const std::uint32_t length = pieces[one.piece].length;
  if (size != length) {
    entry.bad(fmt::format("a chunk of {} bytes for a piece of {} bytes", size, length));
  }
  if (!is_known(one.kind)) {
    const auto unknown = entry.code == ErrorCode::corrupt ? ErrorCode::newer_format : entry.code;
    Entry{unknown, entry.section, entry.index}.bad(
        fmt::format("kind {} is not known to this version of ckpstore; use a newer one",
                    static_cast<unsigned>(one.kind)));
  }
  const auto place = [](const Difference& of) { return std::pair(of.storage, of.piece); };
  const auto before = [&](std::size_t back) -> const Difference& {
    return manifest.differences[entry.index - back];
  };
  if (entry.index > 0 && place(one) < place(before(1))) {
    entry.bad("storages and pieces do not rise");
  }
  constexpr std::size_t most = limits::differences_of_piece;
  if (entry.index >= most && place(before(most)) == place(one)) {
    entry.bad(fmt::format("piece {} of storage {} has more than {}", one.piece, one.storage, most));
  }
}

void check_name(const Entry& entry) {
  if (entry.name.empty()) entry.bad("the name is empty");
  if (entry.name.size() > limits::name_size) {
    throw Error(entry.code,
                fmt::format("manifest, section tensors, entry {}: the name has {} bytes, "
                            "the limit is {}",
                            entry.index, entry.name.size(), limits::name_size));
  }
  if (!is_utf8(entry.name) || entry.name.find('\0') != std::string_view::npos) {
    throw Error(entry.code,
                fmt::format("manifest, section tensors, entry {}: the name is not UTF-8 "
                            "without NUL",
                            entry.index));
  }
}

// How many elements, counted from the storage's start, the tensor needs; nothing when no 64-bit
// number holds it, or the number of bytes.
std::optional<std::int64_t> needed_elements(const TensorEntry& tensor, std::int64_t element_size) {
  std::optional<std::int64_t> last = tensor.storage_offset;
  std::optional<std::int64_t> bytes = element_size;
  for (std::size_t d = 0; d < tensor.shape.size() && last && bytes; ++d) {
    bytes = multiply(*bytes, tensor.shape[d]);
    const auto step = multiply(tensor.shape[d] - 1, tensor.strides[d]);
    last = step ? add(*last, *step) : std::nullopt;
  }
  if (!last || !bytes) return std::nullopt;
  return add(*last, 1);
}

void check_extent(const Manifest& manifest, const TensorEntry& tensor, const Entry& entry) {
  if (tensor.storage >= manifest.storages.size()) {
    entry.bad(fmt::format("storage is {}, there are {}", tensor.storage, manifest.storages.size()));
  }
  if (tensor.storage_offset < 0) {
    entry.bad(fmt::format("storage_offset is {}", tensor.storage_offset));
  }
  if (std::find(tensor.shape.begin(), tensor.shape.end(), 0) != tensor.shape.end()) return;
  const auto element_size = static_cast<std::int64_t>(size_of(tensor.dtype));
  const auto elements = needed_elements(tensor, element_size);
  const auto bytes = elements ? multiply(*elements, element_size) : std::nullopt;
  const std::uint64_t size = manifest.storages[tensor.storage].size;
  if (!bytes || static_cast<std::uint64_t>(*bytes) > size) {
    entry.bad(fmt::format("shape, strides and storage_offset reach beyond storage {} of {} bytes",
                          tensor.storage, size));
  }
}

void check_shard(const TensorEntry& tensor, const Entry& entry) {
  if (tensor.global_shape.empty() && tensor.global_offset.empty()) return;
  const std::size_t rank = tensor.shape.size();
  if (tensor.global_shape.size() != rank || tensor.global_offset.size() != rank) {
    entry.bad(fmt::format("global_shape has {} and global_offset {} dimensions, expected {}",
                          tensor.global_shape.size(), tensor.global_offset.size(), rank));
  }
  for (std::size_t d = 0; d < rank; ++d) {
    const auto end = add(tensor.global_offset[d], tensor.shape[d]);
    if (tensor.global_offset[d] < 0 || !end || *end > tensor.global_shape[d]) {
      entry.bad(fmt::format("dimension {}: {} at global_offset {} exceed global_shape {}", d,
                            tensor.shape[d], tensor.global_offset[d], tensor.global_shape[d]));
    }
  }
}

void check_tensor(const Manifest& manifest, const TensorEntry& tensor, const Entry& entry) {
  check_name(entry);
  const auto unknown = entry.code == ErrorCode::corrupt ? ErrorCode::newer_format : entry.code;
  if (!dtype_from_number(static_cast<std::uint16_t>(tensor.dtype))) {
    Entry{unknown, entry.section, entry.index, entry.name}.bad(
        fmt::format("dtype {} is not known to this version of ckpstore; use a newer one",
                    static_cast<unsigned>(tensor.dtype)));
  }
  if ((tensor.flags & ~tensor_flag::known) != 0) {
    Entry{unknown, entry.section, entry.index, entry.name}.bad(fmt::format(
        "flags are {:#x}, of which this version of ckpstore knows {:#x}; use a newer one",
        tensor.flags, tensor_flag::known));
  }
  if (tensor.shape.size() > limits::tensor_rank) {
    entry.bad(fmt::format("rank is {}, the limit is {}", tensor.shape.size(), limits::tensor_rank));
  }
  if (tensor.strides.size() != tensor.shape.size()) {
    entry.bad(
        fmt::format("{} strides for {} dimensions", tensor.strides.size(), tensor.shape.size()));
  }
  const auto negative = [](std::int64_t value) { return value < 0; };
  if (std::any_of(tensor.shape.begin(), tensor.shape.end(), negative)) {
    entry.bad("shape has a negative number");
  }
  if (std::any_of(tensor.strides.begin(), tensor.strides.end(), negative)) {
    entry.bad("strides have a negative number");
  }
  check_extent(manifest, tensor, entry);
  check_shard(tensor, entry);
}

}  // namespace

void check_manifest(const Manifest& manifest, ErrorCode code) {
  check_references(manifest, code);
  check_derived_rows(manifest, code);
  for (std::size_t i = 0; i < manifest.storages.size(); ++i) {
    check_storage(manifest, Entry{code, "storages", i});
  }
  for (std::size_t i = 0; i < manifest.patches.size(); ++i) {
    check_patch(manifest, Entry{code, "patches", i});
  }
  for (std::size_t i = 0; i < manifest.differences.size(); ++i) {
    check_difference(manifest, Entry{code, "differences", i});
  }
  for (std::size_t i = 0; i < manifest.tensors.size(); ++i) {
    const TensorEntry& tensor = manifest.tensors[i];
    const Entry entry{code, "tensors", i, tensor.name};
    check_tensor(manifest, tensor, entry);
    if (i > 0 && tensor.name <= manifest.tensors[i - 1].name) {
      entry.bad(fmt::format("names are not sorted and unique: it follows {}",
                            manifest.tensors[i - 1].name));
    }
  }
}

}  // namespace ckp::format
