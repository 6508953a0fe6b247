#include "ckp/format/patch.h"

#include <fmt/format.h>

#include <algorithm>

#include "ckp/error.h"
#include "ckp/format/limits.h"
#include "ckp/format/wire.h"

namespace ckp::format {
namespace {

constexpr std::size_t gap_size = 4;

[[noreturn]] void bad_patch(const std::string& what) {
  throw Error(ErrorCode::corrupt, "patch: " + what);
}

}  // namespace

void encode_patch(std::uint32_t row_size, std::span<const std::uint32_t> rows,
                  const std::function<std::span<const std::byte>(std::uint32_t row)>& row_bytes,
                  std::vector<std::byte>& out) {
  Writer writer;
  writer.u32(row_size);
  writer.u32(static_cast<std::uint32_t>(rows.size()));
  for (const std::uint32_t row : rows) writer.bytes(row_bytes(row));
  std::uint32_t previous = 0;
  for (const std::uint32_t row : rows) {
    writer.u32(row - previous);
    previous = row;
  }
  out = writer.release();
}

PatchRows decode_patch(std::span<const std::byte> raw, std::uint64_t length) {
  Reader in(raw, "patch");
  PatchRows patch;
  patch.row_size = in.u32();
  const std::uint64_t count = in.u32();
  if (patch.row_size == 0) bad_patch("row_size is 0");
  if (count == 0) bad_patch("there are no rows");
  if (in.remaining() / gap_size < count) {
    bad_patch(fmt::format("{} rows do not fit into {} bytes", count, raw.size()));
  }
  patch.bytes = in.take(in.remaining() - count * gap_size);
  patch.rows.reserve(count);
  std::uint64_t row = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint32_t gap = in.u32();
    if (i > 0 && gap == 0) bad_patch(fmt::format("row {} stands twice", row));
    row += gap;
    if (row > UINT32_MAX || row * patch.row_size >= length) {
      bad_patch(fmt::format("row {} of {} bytes lies behind the {} bytes that it patches", row,
                            patch.row_size, length));
    }
    patch.rows.push_back(static_cast<std::uint32_t>(row));
  }
  const std::uint64_t last = std::min<std::uint64_t>(patch.row_size, length - row * patch.row_size);
  const std::uint64_t expected = (count - 1) * patch.row_size + last;
  if (patch.bytes.size() != expected) {
    bad_patch(
        fmt::format("{} rows have {} bytes, expected {}", count, patch.bytes.size(), expected));
  }
  return patch;
}

bool overlaps(const Patch& patch, std::uint64_t begin, std::uint64_t length) {
  return patch.begin < begin + length && begin < patch.begin + patch.length;
}

void apply_patch(const Patch& patch, std::span<const std::byte> raw, std::uint64_t begin,
                 std::span<std::byte> window) {
  each_row(decode_patch(raw, patch.length), [&](std::uint64_t at, std::span<const std::byte> row) {
    const std::uint64_t row_begin = patch.begin + at;
    const std::uint64_t from = std::max(row_begin, begin);
    const std::uint64_t to = std::min(row_begin + row.size(), begin + window.size());
    if (from >= to) return;
    std::ranges::copy(row.subspan(from - row_begin, to - from), window.data() + (from - begin));
  });
}

}  // namespace ckp::format
