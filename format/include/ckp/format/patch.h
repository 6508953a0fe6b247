// Rows of a storage that have changed since its chunks were stored (spec/format.md, "Patches").
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "ckp/format/manifest.h"

namespace ckp::format {

// Row r of `length` bytes: [r * row_size, (r + 1) * row_size), the last one cut at `length`.
struct PatchRows {
  std::uint32_t row_size = 0;
  std::vector<std::uint32_t> rows{};   // rising
  std::span<const std::byte> bytes{};  // of these rows, one after the other
};

// The raw bytes of a patch's chunk, into `out`. `row_bytes` is asked for each of `rows` once, in
// order; all but the last row of what is patched have `row_size` bytes. `rows` rise and are not
// empty.
void encode_patch(std::uint32_t row_size, std::span<const std::uint32_t> rows,
                  const std::function<std::span<const std::byte>(std::uint32_t row)>& row_bytes,
                  std::vector<std::byte>& out);

// Of a patch of `length` bytes of a storage. Points into `raw`. Checks every number; throws
// Error(corrupt).
PatchRows decode_patch(std::span<const std::byte> raw, std::uint64_t length);

// Calls visit(begin, bytes) for each row, `begin` counted from the start of what is patched.
template <class Visit>
void each_row(const PatchRows& patch, Visit visit) {
  std::size_t at = 0;
  for (const std::uint32_t row : patch.rows) {
    const std::size_t size = std::min<std::size_t>(patch.row_size, patch.bytes.size() - at);
    visit(std::uint64_t{row} * patch.row_size, patch.bytes.subspan(at, size));
    at += size;
  }
}

// Whether it changes any of bytes [begin, begin + length) of its storage.
bool overlaps(const Patch& patch, std::uint64_t begin, std::uint64_t length);

// Overwrites what the patch, of whose chunk `raw` are the raw bytes, says of `window`, which begins
// at `begin` of the storage. Throws as decode_patch() does.
void apply_patch(const Patch& patch, std::span<const std::byte> raw, std::uint64_t begin,
                 std::span<std::byte> window);

}  // namespace ckp::format
