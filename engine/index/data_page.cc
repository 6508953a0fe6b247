#include "index/data_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "ckp/error.h"

namespace ckp {
namespace {

constexpr std::uint32_t meta_magic = 0xBEEFC0DE;
constexpr std::uint32_t meta_version = 1;
constexpr std::uint64_t page_header = 16;
constexpr std::uint64_t node_header = 8;
constexpr std::uint16_t branch_page = 1, leaf_page = 2, overflow_page = 4, meta_page = 8;
constexpr std::uint16_t big_data = 1, sub_data = 2;  // node flags
constexpr std::uint16_t integer_key = 8;             // tree flag
constexpr std::size_t largest_key = 511;

template <class T>
T load_number(BytesView bytes, std::uint64_t offset) {
  T value;
  std::memcpy(&value, bytes.subspan(offset, sizeof value).data(), sizeof value);
  return value;
}

// From the start of `page`; the page must say that it is this one, and of this kind.
void read_page_start(const File& file, const DataMeta& meta, std::uint64_t page,
                     std::uint16_t flags, std::vector<std::byte>& out) {
  if (file.read_at(page * meta.page_size, out) != out.size()) {
    throw_damaged(file, fmt::format("page {} lies beyond the end of the file", page));
  }
  if (load_number<std::uint64_t>(out, 0) != page || load_number<std::uint16_t>(out, 10) != flags) {
    throw_damaged(file, fmt::format("page {} has number {} and flags {:#x}, expected {:#x}", page,
                                    load_number<std::uint64_t>(out, 0),
                                    load_number<std::uint16_t>(out, 10), flags));
  }
}

}  // namespace

void throw_damaged(const File& file, const std::string& message) {
  throw Error(ErrorCode::corrupt, fmt::format("{}: {}", file.path().string(), message));
}

DataTree load_tree(BytesView bytes) {
  return {load_number<std::uint16_t>(bytes, 4),  load_number<std::uint16_t>(bytes, 6),
          load_number<std::uint64_t>(bytes, 8),  load_number<std::uint64_t>(bytes, 16),
          load_number<std::uint64_t>(bytes, 24), load_number<std::uint64_t>(bytes, 32),
          load_number<std::uint64_t>(bytes, 40)};
}

DataMeta read_data_meta(const File& file, std::uint64_t number, std::uint64_t offset) {
  std::vector<std::byte> bytes(data_header_size);
  if (file.read_at(offset, bytes) != bytes.size()) {
    throw_damaged(file, fmt::format("header {} lies beyond the end of the file", number));
  }
  const BytesView meta = BytesView(bytes).subspan(page_header);
  if (load_number<std::uint64_t>(bytes, 0) != number ||
      load_number<std::uint16_t>(bytes, 10) != meta_page ||
      load_number<std::uint32_t>(meta, 0) != meta_magic ||
      load_number<std::uint32_t>(meta, 4) != meta_version) {
    throw_damaged(file, fmt::format("header {} is no header of an LMDB 0.9 file", number));
  }
  DataMeta result{load_number<std::uint32_t>(meta, 24), load_number<std::uint64_t>(meta, 120),
                  load_number<std::uint64_t>(meta, 128), load_tree(meta.subspan(24)),
                  load_tree(meta.subspan(72))};
  if (result.page_size < 512 || result.page_size > 65536 ||
      (result.page_size & (result.page_size - 1)) != 0) {
    throw_damaged(file, fmt::format("header {} has page size {}", number, result.page_size));
  }
  if (result.free.flags != integer_key || result.main.flags != 0) {
    throw_damaged(
        file, fmt::format("header {} has tree flags {:#x} and {:#x}, expected {:#x} and 0", number,
                          result.free.flags, result.main.flags, integer_key));
  }
  return result;
}

bool key_less(TreeKind kind, BytesView a, BytesView b) {
  if (kind == TreeKind::free) {
    return load_number<std::uint64_t>(a, 0) < load_number<std::uint64_t>(b, 0);
  }
  const std::size_t common = std::min(a.size(), b.size());
  const int order = common == 0 ? 0 : std::memcmp(a.data(), b.data(), common);
  return order != 0 ? order < 0 : a.size() < b.size();
}

DataPage::DataPage(const File& file, const DataMeta& meta, TreeKind kind, std::uint64_t number,
                   bool leaf)
    : bytes_(meta.page_size), number_(number), kind_(kind), leaf_(leaf) {
  read_page_start(file, meta, number, leaf ? leaf_page : branch_page, bytes_);
  const auto lower = load_number<std::uint16_t>(bytes_, 12);
  const auto upper = load_number<std::uint16_t>(bytes_, 14);
  const std::size_t fewest = leaf || kind == TreeKind::free ? 1 : 2;
  if (lower > upper || upper > bytes_.size() || lower < page_header + 2 * fewest ||
      lower % 2 != 0) {
    throw_damaged(file,
                  fmt::format("page {}: its free space is from {} to {}", number, lower, upper));
  }
  count_ = (lower - page_header) / 2;
  std::uint64_t filled = 0;
  for (std::size_t i = 0; i < count_; ++i) {
    filled += check_node(file, i, upper);
    const std::size_t first = leaf ? 0 : 1;
    if (i > first && !key_less(kind, key(i - 1), key(i))) {
      throw_damaged(file, fmt::format("page {}: the key of row {} is out of order", number, i));
    }
  }
  // A row that the offsets have lost would be missed by nobody else.
  if (filled != bytes_.size() - upper) {
    throw_damaged(file, fmt::format("page {}: its rows take {} bytes, expected {}", number, filled,
                                    bytes_.size() - upper));
  }
}

// With the byte that makes it even.
std::uint64_t DataPage::check_node(const File& file, std::size_t i, std::uint16_t upper) const {
  const auto bad = [&] {
    throw_damaged(file, fmt::format("page {}: row {} is damaged", number_, i));
  };
  const auto offset = load_number<std::uint16_t>(bytes_, page_header + 2 * i);
  if (offset < upper || offset + node_header > bytes_.size()) bad();
  const BytesView rest = BytesView(bytes_).subspan(offset);
  const auto key_size = load_number<std::uint16_t>(rest, 6);
  std::uint64_t size = node_header + key_size;
  if (leaf_) {
    const auto flags = load_number<std::uint16_t>(rest, 4);
    const bool is_main = kind_ == TreeKind::main;
    const bool fits = flags == 0 || flags == big_data || (flags == sub_data && is_main);
    if (!fits || is_main != (flags == sub_data)) bad();
    if (flags == sub_data && value_size(i) != tree_size) bad();
    size += flags == big_data ? 8 : value_size(i);
  }
  const bool means_nothing = !leaf_ && i == 0;
  const bool key_fits = kind_ == TreeKind::free ? key_size == 8 : key_size > 0;
  if (size > rest.size() || key_size > largest_key || !(key_fits || means_nothing)) bad();
  return (size + 1) / 2 * 2;
}

BytesView DataPage::node(std::size_t i) const {
  return BytesView(bytes_).subspan(load_number<std::uint16_t>(bytes_, page_header + 2 * i));
}

BytesView DataPage::key(std::size_t i) const {
  const BytesView at = node(i);
  return at.subspan(node_header, load_number<std::uint16_t>(at, 6));
}

std::uint64_t DataPage::child(std::size_t i) const {
  const BytesView at = node(i);
  return load_number<std::uint16_t>(at, 0) |
         std::uint64_t{load_number<std::uint16_t>(at, 2)} << 16 |
         std::uint64_t{load_number<std::uint16_t>(at, 4)} << 32;
}

KeyRange DataPage::range_of_child(std::size_t i, const KeyRange& own) const {
  return {i == 0 ? own.low : std::optional(key(i)),
          i + 1 == count_ ? own.high : std::optional(key(i + 1))};
}

std::uint64_t DataPage::value_size(std::size_t i) const {
  const BytesView at = node(i);
  return load_number<std::uint16_t>(at, 0) | std::uint64_t{load_number<std::uint16_t>(at, 2)} << 16;
}

bool DataPage::has_own_pages(std::size_t i) const {
  return (load_number<std::uint16_t>(node(i), 4) & big_data) != 0;
}

BytesView DataPage::value(std::size_t i) const {
  return node(i).subspan(node_header + key(i).size(), value_size(i));
}

std::uint64_t DataPage::value_page(std::size_t i) const {
  return load_number<std::uint64_t>(node(i), node_header + key(i).size());
}

void DataPage::check_range(const File& file, const KeyRange& range) const {
  const std::size_t first = leaf_ ? 0 : 1;
  if (first >= count_) return;
  const bool low_enough = !range.high || key_less(kind_, key(count_ - 1), *range.high);
  const bool high_enough = !range.low || !key_less(kind_, key(first), *range.low);
  if (low_enough && high_enough) return;
  throw_damaged(file, fmt::format("page {}: the key of row {} is out of order", number_,
                                  high_enough ? count_ - 1 : first));
}

ValuePages read_value_pages(const File& file, const DataMeta& meta, std::uint64_t first,
                            std::uint64_t size) {
  const std::uint64_t needed = (page_header - 1 + size) / meta.page_size + 1;
  if (first < 2 || first > meta.last_page || needed > meta.last_page - first + 1) {
    throw_damaged(file, fmt::format("page {}: {} pages are pointed at, the last one is {}", first,
                                    needed, meta.last_page));
  }
  ValuePages value;
  value.bytes.resize(page_header + size);
  read_page_start(file, meta, first, overflow_page, value.bytes);
  value.pages = load_number<std::uint32_t>(value.bytes, 12);
  if (value.pages < needed) {
    throw_damaged(file, fmt::format("page {}: {} pages stand together, expected {}", first,
                                    value.pages, needed));
  }
  value.bytes.erase(value.bytes.begin(), value.bytes.begin() + page_header);
  return value;
}

}  // namespace ckp
