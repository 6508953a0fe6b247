#include "build.h"

#include <algorithm>

#include "ckp/format/patch.h"

namespace ckp::golden {
namespace {

using format::Compression;

Bytes counting_from(std::uint16_t first, std::uint16_t count) {
  Bytes bytes;
  for (std::uint16_t i = 0; i < count; ++i) {
    const Bytes one = elements<std::uint16_t>({static_cast<std::uint16_t>(first + i)});
    bytes.insert(bytes.end(), one.begin(), one.end());
  }
  return bytes;
}

// Of these rows of `patched`, which begins where the patch does.
void add_patch(Builder& pack, const format::Patch& place, std::uint32_t row_size,
               const std::vector<std::uint32_t>& rows, const Bytes& patched) {
  Bytes raw;
  const auto row_bytes = [&](std::uint32_t row) {
    const std::size_t begin = std::size_t{row} * row_size;
    return std::span(patched).subspan(begin,
                                      std::min<std::size_t>(row_size, patched.size() - begin));
  };
  format::encode_patch(row_size, rows, row_bytes, raw);
  format::Patch patch = place;
  patch.reference = pack.chunk(raw, 1, Compression::none);
  pack.manifest.patches.push_back(patch);
}

}  // namespace

Uuid uuid_ending_in(unsigned char last) {
  Uuid uuid;
  for (std::size_t i = 0; i < uuid.bytes.size(); ++i) uuid.bytes[i] = static_cast<std::byte>(i);
  uuid.bytes.back() = static_cast<std::byte>(last);
  return uuid;
}

Bytes patched_pack(std::uint64_t length) {
  Builder pack({.may_use = {0, 0, format::feature::patches}, .uuid = uuid_ending_in(0xdd)});
  pack.tensor("model/bias", DType::uint8, pack.storage(Bytes{std::byte{7}, std::byte{8}}, 1), {2});
  const auto first = pack.chunk(counting_from(0, 12), 2, Compression::none);
  const auto second = pack.chunk(counting_from(12, 8), 2, Compression::none);
  const auto table = pack.storage_of({{first, 0, 24}, {second, 0, 16}});
  // Elements 2 to 5, and 14 to 16: the last row is cut.
  add_patch(pack, {.storage = table, .begin = 4, .length = 30}, 8, {0, 3}, counting_from(100, 15));
  // Elements 4 and 5, 14 and 15, 18 and 19.
  add_patch(pack, {.storage = table, .begin = 8, .length = length}, 4, {0, 5, 7},
            counting_from(200, 16));
  pack.tensor("model/table", DType::uint16, table, {4, 5});
  auto& column = pack.tensor("model/column", DType::uint16, table, {4});
  column.strides = {5};
  column.storage_offset = 4;
  pack.tensor("model/tail", DType::uint16, table, {5}).storage_offset = 15;
  return pack.finish();
}

Bytes differences_pack() {
  Builder pack({.may_use = {0, 0, format::feature::patches | format::feature::differences},
                .uuid = uuid_ending_in(0xee)});
  using Kind = format::DifferenceKind;
  const auto chunk = [&](const Bytes& raw) { return pack.chunk(raw, 1, Compression::none); };
  // 1, -1, 0, a NaN with payload 1; before that and behind it, what no piece holds.
  const auto first =
      chunk(elements<std::uint32_t>({9, 0x3f800000, 0xbf800000, 0x00000000, 0x7fc00001, 9}));
  const auto second = chunk(counting_from(1, 5));  // ten bytes
  const auto storage = pack.storage_of({{first, 4, 16}, {second, 7, 3}, {second, 0, 7}});
  const auto add = [&](std::uint32_t piece, Kind kind, const Bytes& raw) {
    pack.manifest.differences.push_back({storage, piece, chunk(raw), kind});
  };
  // One up, one down, the sign, nothing; then both back, nothing, another NaN.
  add(0, Kind::elements32, elements<std::uint32_t>({4, 3, 2, 0}));
  add(0, Kind::elements32, elements<std::uint32_t>({3, 4, 0, 0x00fffff9}));
  add(2, Kind::exclusive_or, elements<std::uint8_t>({1, 0, 0, 0, 0, 0, 0x80}));
  add(2, Kind::elements16, elements<std::uint8_t>({2, 0, 0xff, 0xff, 0, 0, 0x0f}));
  add(2, Kind::elements64, elements<std::uint8_t>({0, 1, 0, 0, 0, 0, 0}));  // shorter than one
  pack.tensor("model/floats", DType::float32, storage, {4});
  pack.tensor("model/bytes", DType::uint8, storage, {10}).storage_offset = 16;
  auto& column = pack.tensor("model/column", DType::uint16, storage, {3});
  column.strides = {3};
  column.storage_offset = 5;
  add_patch(pack, {.storage = storage, .begin = 12, .length = 6}, 2, {2}, counting_from(500, 3));
  return pack.finish();
}

Bytes derived_pack() {
  namespace feature = format::feature;
  Builder pack({.may_use = {0, 0, feature::patches | feature::differences | feature::derived},
                .uuid = uuid_ending_in(0xf0)});
  const auto chunk = [&](const Bytes& raw) { return pack.chunk(raw, 1, Compression::none); };
  // 1 and a tie, just above one, a NaN, -0, what is too much for float16; then one float.
  const auto first =
      chunk(elements<std::uint32_t>({0x3f808000, 0x3f818000, 0x3f808001, 0x7fa00001, 0x80000000}));
  const auto second = chunk(elements<std::uint32_t>({9, 0x477ff000}));
  const auto halves = chunk(elements<std::uint16_t>({0x1234, 0x5678}));
  constexpr std::uint32_t none = format::no_reference;
  const auto weight = pack.storage_of({{none, 0, 8}, {halves, 0, 4}});
  const auto master = pack.storage_of({{first, 0, 20}, {second, 4, 4}});
  const auto small = pack.storage_of({{none, 0, 4}, {none, 0, 8}});
  pack.manifest.derived = {{weight, 0, master, format::Rounding::bfloat16},
                           {small, 0, master, format::Rounding::float16},
                           {small, 1, master, format::Rounding::float16}};
  pack.manifest.differences = {{master, 1, chunk(elements<std::uint8_t>({1, 0, 0, 0})),
                                format::DifferenceKind::exclusive_or}};
  add_patch(pack, {.storage = weight, .begin = 6, .length = 4}, 2, {0},
            elements<std::uint16_t>({0x4321}));
  add_patch(pack, {.storage = master, .begin = 0, .length = 8}, 4, {1},
            elements<std::uint32_t>({0, 0xbf818000}));
  pack.tensor("model/weight", DType::uint16, weight, {6});
  pack.tensor("model/small", DType::uint16, small, {2, 3});
  pack.tensor("optimizer/master", DType::float32, master, {6});
  return pack.finish();
}

Builder::Builder(const format::PackHeader& header)
    : writer_(
          [this](std::span<const std::byte> b) { file_.insert(file_.end(), b.begin(), b.end()); },
          header) {}

std::uint32_t Builder::chunk(const Bytes& raw, std::size_t scalar_size,
                             format::Compression compression) {
  const auto encoded = format::encode(raw, scalar_size, compression);
  const auto size = static_cast<std::uint32_t>(raw.size());
  const Digest digest = digest_of(raw);
  const Bytes& stored = encoded.codec == format::Codec::raw ? raw : encoded.bytes;
  const auto number = writer_.add_chunk(digest, size, encoded.codec, stored);
  manifest.references.push_back({{{}, number}, digest, size});
  return static_cast<std::uint32_t>(manifest.references.size() - 1);
}

std::uint32_t Builder::storage(const Bytes& raw, std::size_t scalar_size,
                               format::Compression compression) {
  const auto reference = chunk(raw, scalar_size, compression);
  return storage_of({{reference, 0, static_cast<std::uint32_t>(raw.size())}});
}

std::uint32_t Builder::storage_of(std::vector<format::StoragePiece> pieces) {
  format::StorageEntry entry;
  for (const auto& piece : pieces) entry.size += piece.length;
  entry.pieces = std::move(pieces);
  manifest.storages.push_back(std::move(entry));
  return static_cast<std::uint32_t>(manifest.storages.size() - 1);
}

format::TensorEntry& Builder::tensor(const std::string& name, DType dtype, std::uint32_t storage,
                                     std::vector<std::int64_t> shape) {
  format::TensorEntry entry{.name = name, .dtype = dtype, .storage = storage};
  std::int64_t stride = 1;
  entry.strides.resize(shape.size());
  for (std::size_t d = shape.size(); d-- > 0;) {
    entry.strides[d] = stride;
    stride *= std::max<std::int64_t>(shape[d], 1);
  }
  entry.shape = std::move(shape);
  manifest.tensors.push_back(std::move(entry));
  return manifest.tensors.back();
}

Bytes Builder::finish() {
  std::sort(manifest.tensors.begin(), manifest.tensors.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  writer_.finish(std::span(&manifest, 1));
  return file_;
}

}  // namespace ckp::golden
