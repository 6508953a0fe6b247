// A patch's chunk: sizes, rows, and the gaps between the rows' numbers.
#include "ckp/format/patch.h"

#include <algorithm>
#include <vector>

#include "fuzz/bytes.h"
#include "fuzz/repair.h"
#include "fuzz/target.h"

namespace ckp::fuzz {
namespace {

constexpr std::size_t length_size = 8;               // what is patched, before the chunk
constexpr std::uint64_t largest_patched = 1u << 20;  // larger ones only cost time

std::vector<std::byte> encoded(const format::PatchRows& patch) {
  std::vector<BytesView> rows;
  format::each_row(patch, [&](std::uint64_t, BytesView row) { rows.push_back(row); });
  require(rows.size() == patch.rows.size(), "each row is visited");
  std::vector<std::byte> raw;
  std::size_t next = 0;
  format::encode_patch(
      patch.row_size, patch.rows, [&](std::uint32_t) { return rows[next++]; }, raw);
  return raw;
}

void fuzz_one(BytesView bytes) {
  if (bytes.size() < length_size) return;
  const std::uint64_t length = get_number(take(bytes, length_size), 0, length_size);
  const auto patch = refused_or([&] { return format::decode_patch(bytes, length); });
  if (!patch) return;
  require(std::ranges::equal(encoded(*patch), bytes), "a patch has one encoding");
  std::uint64_t end = 0;
  format::each_row(*patch, [&](std::uint64_t begin, BytesView row) {
    require(begin >= end && !row.empty() && row.size() <= length - begin,
            "rows rise and lie within what is patched");
    end = begin + row.size();
  });
  if (length > largest_patched) return;
  const format::Patch place{.begin = 5, .length = length};
  std::vector<std::byte> whole(length);
  format::apply_patch(place, bytes, place.begin, whole);
  for (const std::uint64_t begin : {std::uint64_t{0}, place.begin + length / 3}) {
    std::vector<std::byte> part(length / 2);
    format::apply_patch(place, bytes, begin, part);
    for (std::uint64_t i = 0; i < part.size(); ++i) {
      const bool outside = begin + i < place.begin;
      require(part[i] == (outside ? std::byte{0} : whole[begin + i - place.begin]),
              "a part is patched as the whole is");
    }
  }
}

// The rows fill the chunk, and their numbers reach to the end of what is patched.
void repair_rows(MutableBytes bytes, Repair what) {
  constexpr std::size_t header = length_size + 8;
  if (bytes.size() <= header + 5 || what == Repair::nothing) return;
  const std::uint64_t room = bytes.size() - header;
  std::uint64_t count = get_number(bytes, length_size + 4, 4);
  count = std::clamp<std::uint64_t>(count, 1, room / 5);  // a byte and a gap each
  put_number(bytes, length_size + 4, 4, count);
  const std::uint64_t row_bytes = room - 4 * count;
  const std::uint64_t row_size = (row_bytes + count - 1) / count;
  put_number(bytes, length_size, 4, row_size);
  std::uint64_t row = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::size_t at = bytes.size() - 4 * (count - i);
    if (what == Repair::agreement) {
      put_number(bytes, at, 4, std::max<std::uint64_t>(get_number(bytes, at, 1), i == 0 ? 0 : 1));
    }
    row += get_number(bytes, at, 4);
  }
  const std::uint64_t before = (count - 1) * row_size;
  if (before >= row_bytes) return;
  put_number(bytes, 0, length_size, row * row_size + (row_bytes - before));
}

}  // namespace
}  // namespace ckp::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ckp::fuzz::fuzz_one(std::as_bytes(std::span(data, size)));
  return 0;
}

std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                    unsigned seed) {
  return ckp::fuzz::mutate_and_repair(data, size, max_size, seed, 4, ckp::fuzz::repair_rows);
}
