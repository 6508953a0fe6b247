#include "index/data_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <vector>

#include "ckp/error.h"
#include "index/tables.h"

// LMDB 0.9 on a 64-bit machine (libraries/liblmdb/mdb.c: MDB_page, MDB_node, MDB_db, MDB_meta), in
// the machine's own byte order:
//   page  0 number u64 | 8 pad u16 | 10 flags u16 | 12 lower u16 | 14 upper u16 | 16 offsets u16...
//         an overflow page has its number of pages (u32) at 12
//   node  0 low u16 | 2 high u16 | 4 flags u16 | 6 key size u16 | 8 key, data
//         branch: child page = low | high << 16 | flags << 32; leaf: data size = low | high << 16
//   tree  0 pad u32 | 4 flags u16 | 6 depth u16 | 8 branch pages, 16 leaf pages, 24 overflow pages,
//         32 entries, 40 root page: u64
//   meta  (after a page header, on pages 0 and 1; the higher transaction counts)
//         0 magic u32 | 4 version u32 | 8 address u64 | 16 map size u64 | 24 free tree (its pad is
//         the page size) | 72 main tree | 120 last page u64 | 128 transaction u64
namespace ckp {
namespace {

constexpr std::uint32_t meta_magic = 0xBEEFC0DE;
constexpr std::uint32_t meta_version = 1;
constexpr std::uint64_t page_header = 16;
constexpr std::uint64_t node_header = 8;
constexpr std::size_t tree_size = 48;
constexpr std::uint64_t no_page = ~std::uint64_t{0};
constexpr std::uint16_t branch_page = 1, leaf_page = 2, overflow_page = 4, meta_page = 8;
constexpr std::uint16_t big_data = 1, sub_data = 2;  // node flags
constexpr std::uint16_t integer_key = 8;             // tree flag
constexpr std::size_t largest_key = 511;
constexpr std::uint16_t deepest = 32;

template <class T>
T load(BytesView bytes, std::uint64_t offset) {
  T value;
  std::memcpy(&value, bytes.subspan(offset, sizeof value).data(), sizeof value);
  return value;
}

struct Tree {
  std::uint16_t flags = 0, depth = 0;
  std::uint64_t branches = 0, leaves = 0, overflows = 0, entries = 0, root = no_page;
};

Tree load_tree(BytesView bytes) {
  return {load<std::uint16_t>(bytes, 4),  load<std::uint16_t>(bytes, 6),
          load<std::uint64_t>(bytes, 8),  load<std::uint64_t>(bytes, 16),
          load<std::uint64_t>(bytes, 24), load<std::uint64_t>(bytes, 32),
          load<std::uint64_t>(bytes, 40)};
}

struct Meta {
  std::uint64_t page_size = 0, last_page = 0, transaction = 0;
  Tree free, main;
};

[[noreturn]] void damaged(const File& file, const std::string& message) {
  throw Error(ErrorCode::corrupt, fmt::format("{}: {}", file.path().string(), message));
}

Meta read_meta(const File& file, std::uint64_t number, std::uint64_t offset) {
  std::vector<std::byte> bytes(page_header + 136);
  if (file.read_at(offset, bytes) != bytes.size()) {
    damaged(file, fmt::format("header {} lies beyond the end of the file", number));
  }
  const BytesView meta = BytesView(bytes).subspan(page_header);
  if (load<std::uint64_t>(bytes, 0) != number || load<std::uint16_t>(bytes, 10) != meta_page ||
      load<std::uint32_t>(meta, 0) != meta_magic || load<std::uint32_t>(meta, 4) != meta_version) {
    damaged(file, fmt::format("header {} is no header of an LMDB 0.9 file", number));
  }
  Meta result{load<std::uint32_t>(meta, 24), load<std::uint64_t>(meta, 120),
              load<std::uint64_t>(meta, 128), load_tree(meta.subspan(24)),
              load_tree(meta.subspan(72))};
  if (result.page_size < 512 || result.page_size > 65536 ||
      (result.page_size & (result.page_size - 1)) != 0) {
    damaged(file, fmt::format("header {} has page size {}", number, result.page_size));
  }
  if (result.free.flags != integer_key || result.main.flags != 0) {
    damaged(file, fmt::format("header {} has tree flags {:#x} and {:#x}, expected {:#x} and 0",
                              number, result.free.flags, result.main.flags, integer_key));
  }
  return result;
}

// Keys of one page must lie in [low, high); no value: no limit.
struct KeyRange {
  std::optional<BytesView> low, high;
};

enum class Kind { free, main, table };

class PageWalk {
 public:
  PageWalk(const File& file, const Meta& meta)
      : file_(file), meta_(meta), used_(meta.last_page + 1) {}

  // The free pages of one snapshot; returns its newest transaction.
  std::uint64_t walk_free() {
    walk(meta_.free, Kind::free);
    return newest_freed_;
  }
  void walk_main(PageCheck what) {
    walk(meta_.main, Kind::main);
    for (const auto& [name, tree] : tables_) {
      if (what == PageCheck::all || name == to_string(Table::meta)) walk(tree, Kind::table);
    }
  }

 private:
  void walk(const Tree& tree, Kind kind) {
    const bool empty = tree.root == no_page;
    if (tree.depth > deepest || (tree.depth == 0) != empty) {
      damaged(file_, fmt::format("a tree with root {} has depth {}", tree.root, tree.depth));
    }
    found_ = {};
    kind_ = kind;
    depth_ = tree.depth;
    if (!empty) walk_page(tree.root, 1, {});
    if (found_.branches != tree.branches || found_.leaves != tree.leaves ||
        found_.overflows != tree.overflows || found_.entries != tree.entries) {
      damaged(file_,
              fmt::format("the tree of page {} has {} rows, expected {} (or other pages than "
                          "it says)",
                          tree.root, found_.entries, tree.entries));
    }
  }

  // Every page belongs to one place.
  void claim(std::uint64_t page, std::uint64_t count = 1) {
    if (page < 2 || page > meta_.last_page || count > meta_.last_page - page + 1) {
      damaged(file_,
              fmt::format("page {} is pointed at, the last one is {}", page, meta_.last_page));
    }
    for (std::uint64_t i = page; i < page + count; ++i) {
      if (used_[i]) damaged(file_, fmt::format("page {} is used twice", i));
      used_[i] = true;
    }
  }

  std::vector<std::byte> read_pages(std::uint64_t page, std::uint64_t count, std::uint16_t flags) {
    claim(page, count);
    std::vector<std::byte> bytes(count * meta_.page_size);
    if (file_.read_at(page * meta_.page_size, bytes) != bytes.size()) {
      damaged(file_, fmt::format("page {} lies beyond the end of the file", page));
    }
    if (load<std::uint64_t>(bytes, 0) != page || load<std::uint16_t>(bytes, 10) != flags) {
      damaged(file_,
              fmt::format("page {} has number {} and flags {:#x}, expected {:#x}", page,
                          load<std::uint64_t>(bytes, 0), load<std::uint16_t>(bytes, 10), flags));
    }
    return bytes;
  }

  void walk_page(std::uint64_t number, std::uint16_t level, const KeyRange& range) {
    const bool leaf = level == depth_;
    const auto page = read_pages(number, 1, leaf ? leaf_page : branch_page);
    const auto lower = load<std::uint16_t>(page, 12), upper = load<std::uint16_t>(page, 14);
    const std::size_t fewest = leaf || kind_ == Kind::free ? 1 : 2;
    if (lower > upper || upper > page.size() || lower < page_header + 2 * fewest ||
        lower % 2 != 0) {
      damaged(file_, fmt::format("page {}: its free space is from {} to {}", number, lower, upper));
    }
    const std::size_t count = (lower - page_header) / 2;
    std::vector<BytesView> nodes;
    for (std::size_t i = 0; i < count; ++i) nodes.push_back(node_at(number, page, i, upper, leaf));
    check_keys(number, nodes, leaf, range);
    ++(leaf ? found_.leaves : found_.branches);
    for (std::size_t i = 0; i < count; ++i) {
      if (leaf) {
        walk_leaf_node(number, nodes[i]);
      } else {
        const auto child = load<std::uint16_t>(nodes[i], 0) |
                           std::uint64_t{load<std::uint16_t>(nodes[i], 2)} << 16 |
                           std::uint64_t{load<std::uint16_t>(nodes[i], 4)} << 32;
        walk_page(child, static_cast<std::uint16_t>(level + 1),
                  {i == 0 ? range.low : std::optional(key_of(nodes[i])),
                   i + 1 == count ? range.high : std::optional(key_of(nodes[i + 1]))});
      }
    }
  }

  static BytesView key_of(BytesView node) {
    return node.subspan(node_header, load<std::uint16_t>(node, 6));
  }

  // One node with exactly its own bytes.
  BytesView node_at(std::uint64_t number, BytesView page, std::size_t i, std::uint16_t upper,
                    bool leaf) {
    const auto bad = [&] { damaged(file_, fmt::format("page {}: row {} is damaged", number, i)); };
    const auto offset = load<std::uint16_t>(page, page_header + 2 * i);
    if (offset < upper || offset + node_header > page.size()) bad();
    const BytesView rest = page.subspan(offset);
    const auto key_size = load<std::uint16_t>(rest, 6);
    std::uint64_t size = node_header + key_size;
    if (leaf) {
      const auto flags = load<std::uint16_t>(rest, 4);
      const bool fits =
          flags == 0 || flags == big_data || (flags == sub_data && kind_ == Kind::main);
      if (!fits || (kind_ == Kind::main) != (flags == sub_data)) bad();
      size += (flags & big_data) != 0 ? 8 : data_size(rest);
      if (flags == sub_data && data_size(rest) != tree_size) bad();
    }
    const bool key_fits = kind_ == Kind::free ? key_size == 8 || (!leaf && i == 0)
                                              : key_size > 0 || (!leaf && i == 0);
    if (size > rest.size() || key_size > largest_key || !key_fits) bad();
    return rest.first(size);
  }

  static std::uint64_t data_size(BytesView leaf_node) {
    return load<std::uint16_t>(leaf_node, 0) | std::uint64_t{load<std::uint16_t>(leaf_node, 2)}
                                                   << 16;
  }

  bool less(BytesView a, BytesView b) const {
    if (kind_ == Kind::free) return load<std::uint64_t>(a, 0) < load<std::uint64_t>(b, 0);
    return std::ranges::lexicographical_compare(a, b);
  }

  // Strictly ascending, and inside what the parent promises: otherwise a look-up would miss rows
  // that a scan finds. The first key of a branch page means nothing.
  void check_keys(std::uint64_t number, const std::vector<BytesView>& nodes, bool leaf,
                  const KeyRange& range) {
    for (std::size_t i = leaf ? 0 : 1; i < nodes.size(); ++i) {
      const BytesView key = key_of(nodes[i]);
      const bool after_last = i == (leaf ? 0 : 1) || less(key_of(nodes[i - 1]), key);
      const bool in_range =
          (!range.low || !less(key, *range.low)) && (!range.high || less(key, *range.high));
      if (!after_last || !in_range) {
        damaged(file_, fmt::format("page {}: the key of row {} is out of order", number, i));
      }
    }
  }

  void walk_leaf_node(std::uint64_t number, BytesView node) {
    ++found_.entries;
    const BytesView data = node.subspan(node_header + load<std::uint16_t>(node, 6));
    std::vector<std::byte> overflow;
    BytesView value = data;
    if ((load<std::uint16_t>(node, 4) & big_data) != 0) {
      overflow = read_overflow(load<std::uint64_t>(data, 0), data_size(node));
      value = BytesView(overflow).subspan(page_header, data_size(node));
    }
    if (kind_ == Kind::free) walk_free_list(number, load<std::uint64_t>(key_of(node), 0), value);
    if (kind_ == Kind::main) keep_table(number, key_of(node), value);
  }

  // A value on pages of its own: as many as it needs, or more if a larger one stood there before.
  std::vector<std::byte> read_overflow(std::uint64_t first, std::uint64_t value_size) {
    const std::uint64_t needed = (page_header - 1 + value_size) / meta_.page_size + 1;
    std::vector<std::byte> header(page_header);
    const bool readable =
        first <= meta_.last_page && file_.read_at(first * meta_.page_size, header) == header.size();
    const std::uint64_t pages = readable ? load<std::uint32_t>(header, 12) : 0;
    if (pages < needed) {
      damaged(file_,
              fmt::format("page {}: {} pages stand together, expected {}", first, pages, needed));
    }
    found_.overflows += pages;
    return read_pages(first, pages, overflow_page);
  }

  // The pages that one transaction set free: their count, then their numbers, falling.
  void walk_free_list(std::uint64_t number, std::uint64_t transaction, BytesView list) {
    const std::uint64_t room = list.size() / 8;
    if (room == 0 || load<std::uint64_t>(list, 0) > room - 1) {
      damaged(file_, fmt::format("page {}: a list of free pages is damaged", number));
    }
    std::uint64_t above = no_page;
    for (std::uint64_t i = 1; i <= load<std::uint64_t>(list, 0); ++i) {
      const auto page = load<std::uint64_t>(list, 8 * i);
      if (page >= above) damaged(file_, fmt::format("page {}: free pages out of order", number));
      claim(page);
      above = page;
    }
    newest_freed_ = std::max(newest_freed_, transaction);
  }

  void keep_table(std::uint64_t number, BytesView name, BytesView value) {
    const Tree tree = load_tree(value);
    if (tree.flags != 0) {
      damaged(file_, fmt::format("page {}: a table has flags {:#x}", number, tree.flags));
    }
    tables_.emplace_back(std::string(reinterpret_cast<const char*>(name.data()), name.size()),
                         tree);
  }

  const File& file_;
  const Meta& meta_;
  std::vector<bool> used_;
  std::vector<std::pair<std::string, Tree>> tables_;
  std::uint64_t newest_freed_ = 0;
  // Of the tree being walked.
  Tree found_;
  Kind kind_ = Kind::main;
  std::uint16_t depth_ = 0;
};

// The two headers take turns: even transactions on page 0, odd ones on page 1.
void check_turns(const File& file, const Meta (&metas)[2]) {
  const std::uint64_t even = metas[0].transaction, odd = metas[1].transaction;
  const bool fresh = even == 0 && odd == 0;
  const bool turns = even % 2 == 0 && odd % 2 == 1 && (even + 1 == odd || odd + 1 == even);
  if (metas[0].page_size != metas[1].page_size || !(fresh || turns)) {
    damaged(file, fmt::format("its headers do not fit each other: transactions {} and {}, page "
                              "sizes {} and {}",
                              even, odd, metas[0].page_size, metas[1].page_size));
  }
}

}  // namespace

DataFileInfo check_data_file(const File& file, PageCheck what) {
  const Meta first = read_meta(file, 0, 0);
  const Meta metas[2] = {first, read_meta(file, 1, first.page_size)};
  check_turns(file, metas);
  const Meta& newest = metas[metas[0].transaction < metas[1].transaction ? 1 : 0];
  const std::uint64_t pages = file.status().size / newest.page_size;
  for (const Meta& meta : metas) {
    if (meta.last_page >= pages) {
      damaged(file, fmt::format("the file has {} whole pages of {} bytes, expected {}", pages,
                                meta.page_size, meta.last_page + 1));
    }
    // A commit always frees pages, except the first. So a header whose number was changed (which
    // would bring back an older state of everything) does not fit its own free list. The state
    // before the newest is still whole: its pages are not used again until the next commit.
    const std::uint64_t freed = PageWalk(file, meta).walk_free();
    if (meta.transaction >= 2 && freed != meta.transaction) {
      damaged(file, fmt::format("the header of transaction {} has a free list up to {}",
                                meta.transaction, freed));
    }
  }
  PageWalk walk(file, newest);
  if (what == PageCheck::all) walk.walk_free();
  walk.walk_main(what);
  return {newest.page_size, newest.last_page, newest.transaction};
}

}  // namespace ckp
