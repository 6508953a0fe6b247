#include "index/data_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

namespace ckp {
namespace {

std::uint64_t number_at(BytesView bytes, std::uint64_t offset) {
  std::uint64_t value = 0;
  std::memcpy(&value, bytes.subspan(offset, sizeof value).data(), sizeof value);
  return value;
}

// Each page belongs to one place.
class PageWalk {
 public:
  PageWalk(const File& file, const DataMeta& meta)
      : PageWalk(file, meta, std::vector<bool>(meta.last_page + 1)) {}
  PageWalk(const File& file, const DataMeta& meta, std::vector<bool> used)
      : file_(file), meta_(meta), used_(std::move(used)) {}

  // The free pages of one snapshot; returns its newest transaction.
  std::uint64_t walk_free() {
    walk(meta_.free, TreeKind::free);
    return newest_freed_;
  }
  void walk_main(PageCheck what) {
    walk(meta_.main, TreeKind::main);
    for (const auto& [name, tree] : tables_) {
      if (what == PageCheck::all || name == to_string(Table::meta)) walk(tree, TreeKind::table);
    }
  }
  std::vector<bool> take_used() { return std::move(used_); }

 private:
  void walk(const DataTree& tree, TreeKind kind) {
    if (tree.depth > deepest_tree || (tree.depth == 0) != tree.empty()) {
      throw_damaged(file_, fmt::format("a tree with root {} has depth {}", tree.root, tree.depth));
    }
    found_ = {};
    kind_ = kind;
    depth_ = tree.depth;
    if (!tree.empty()) walk_page(tree.root, 1, {});
    if (found_.branches != tree.branches || found_.leaves != tree.leaves ||
        found_.overflows != tree.overflows || found_.entries != tree.entries) {
      throw_damaged(file_,
                    fmt::format("the tree of page {} has {} rows, expected {} (or other pages than "
                                "it says)",
                                tree.root, found_.entries, tree.entries));
    }
  }

  void claim(std::uint64_t page, std::uint64_t count = 1) {
    if (page < 2 || page > meta_.last_page || count > meta_.last_page - page + 1) {
      throw_damaged(
          file_, fmt::format("page {} is pointed at, the last one is {}", page, meta_.last_page));
    }
    for (std::uint64_t i = page; i < page + count; ++i) {
      if (used_[i]) throw_damaged(file_, fmt::format("page {} is used twice", i));
      used_[i] = true;
    }
  }

  void walk_page(std::uint64_t number, std::uint16_t level, const KeyRange& range) {
    claim(number);
    const DataPage page(file_, meta_, kind_, number, level == depth_);
    page.check_range(file_, range);
    ++(page.is_leaf() ? found_.leaves : found_.branches);
    for (std::size_t i = 0; i < page.count(); ++i) {
      if (page.is_leaf()) {
        walk_row(page, i);
      } else {
        walk_page(page.child(i), static_cast<std::uint16_t>(level + 1),
                  page.range_of_child(i, range));
      }
    }
  }

  void walk_row(const DataPage& page, std::size_t i) {
    ++found_.entries;
    ValuePages own;
    if (page.has_own_pages(i)) {
      own = read_value_pages(file_, meta_, page.value_page(i), page.value_size(i));
      claim(page.value_page(i), own.pages);
      found_.overflows += own.pages;
    }
    const BytesView value = page.has_own_pages(i) ? BytesView(own.bytes) : page.value(i);
    if (kind_ == TreeKind::free) {
      walk_free_list(page.number(), number_at(page.key(i), 0), value);
    }
    if (kind_ == TreeKind::main) keep_table(page.number(), page.key(i), value);
  }

  // The pages that one transaction set free: their count, then their numbers, falling.
  void walk_free_list(std::uint64_t number, std::uint64_t transaction, BytesView list) {
    const std::uint64_t room = list.size() / 8;
    if (room == 0 || number_at(list, 0) > room - 1) {
      throw_damaged(file_, fmt::format("page {}: a list of free pages is damaged", number));
    }
    std::uint64_t above = DataTree::no_page;
    for (std::uint64_t i = 1; i <= number_at(list, 0); ++i) {
      const std::uint64_t page = number_at(list, 8 * i);
      if (page >= above) {
        throw_damaged(file_, fmt::format("page {}: free pages out of order", number));
      }
      claim(page);
      above = page;
    }
    newest_freed_ = std::max(newest_freed_, transaction);
  }

  void keep_table(std::uint64_t number, BytesView name, BytesView value) {
    const DataTree tree = load_tree(value);
    if (tree.flags != 0) {
      throw_damaged(file_, fmt::format("page {}: a table has flags {:#x}", number, tree.flags));
    }
    tables_.emplace_back(std::string(reinterpret_cast<const char*>(name.data()), name.size()),
                         tree);
  }

  const File& file_;
  const DataMeta& meta_;
  std::vector<bool> used_;
  std::vector<std::pair<std::string, DataTree>> tables_;
  std::uint64_t newest_freed_ = 0;
  // Of the tree being walked.
  DataTree found_;
  TreeKind kind_ = TreeKind::main;
  std::uint16_t depth_ = 0;
};

// The two headers take turns: even transactions on page 0, odd ones on page 1.
void check_turns(const File& file, const DataMeta (&metas)[2]) {
  const std::uint64_t even = metas[0].transaction, odd = metas[1].transaction;
  const bool fresh = even == 0 && odd == 0;
  const bool turns = even % 2 == 0 && odd % 2 == 1 && (even + 1 == odd || odd + 1 == even);
  if (metas[0].page_size != metas[1].page_size || !(fresh || turns)) {
    throw_damaged(file,
                  fmt::format("its headers do not fit each other: transactions {} and {}, page "
                              "sizes {} and {}",
                              even, odd, metas[0].page_size, metas[1].page_size));
  }
}

}  // namespace

DataState read_data_state(const File& file) {
  const DataMeta first = read_data_meta(file, 0, 0);
  const DataMeta metas[2] = {first, read_data_meta(file, 1, first.page_size)};
  check_turns(file, metas);
  const DataMeta& newest = metas[metas[0].transaction < metas[1].transaction ? 1 : 0];
  const std::uint64_t pages = file.status().size / newest.page_size;
  DataState state{newest, {}};
  for (const DataMeta& meta : metas) {
    if (meta.last_page >= pages) {
      throw_damaged(file, fmt::format("the file has {} whole pages of {} bytes, expected {}", pages,
                                      meta.page_size, meta.last_page + 1));
    }
    // A commit always frees pages, except the first. So a header whose number was changed (which
    // would bring back an older state of everything) does not fit its own free list. The state
    // before the newest is still whole: its pages are not used again until the next commit.
    PageWalk walk(file, meta);
    const std::uint64_t freed = walk.walk_free();
    if (meta.transaction >= 2 && freed != meta.transaction) {
      throw_damaged(file, fmt::format("the header of transaction {} has a free list up to {}",
                                      meta.transaction, freed));
    }
    if (meta.transaction == newest.transaction) state.taken = walk.take_used();
  }
  return state;
}

void check_data_file(const File& file, PageCheck what) {
  DataState state = read_data_state(file);
  PageWalk(file, state.meta, std::move(state.taken)).walk_main(what);
}

}  // namespace ckp
