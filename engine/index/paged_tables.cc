#include "index/paged_tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>

namespace ckp {
namespace {

constexpr std::size_t most_pages_kept = 2048;  // 8 MiB

}  // namespace

// A place between the rows of a tree, or at one of them.
class PageCursor {
 public:
  PageCursor(const PagedTables& tables, TreeKind kind, const DataTree& tree)
      : tables_(tables), kind_(kind), tree_(tree) {
    if (tree.depth > deepest_tree || (tree.depth == 0) != tree.empty() ||
        (tree.entries == 0) != tree.empty()) {
      throw_damaged(*tables.file_, fmt::format("a tree with root {} has depth {} and {} rows",
                                               tree.root, tree.depth, tree.entries));
    }
  }

  // Before the first row that is not below `key`.
  void seek(BytesView key) {
    path_.clear();
    if (tree_.empty()) return;
    enter(tree_.root, {});
    while (!leaf()) {
      const Level& level = path_.back();
      std::size_t child = 0;  // the last one that may hold the key
      for (std::size_t end = level.page->count(); child + 1 < end;) {
        const std::size_t middle = child + (end - child) / 2;
        (key_less(kind_, key, level.page->key(middle)) ? end : child) = middle;
      }
      enter_child(child);
    }
    Level& last = path_.back();
    std::size_t end = last.page->count();
    while (last.at < end) {
      const std::size_t middle = last.at + (end - last.at) / 2;
      if (key_less(kind_, last.page->key(middle), key)) {
        last.at = middle + 1;
      } else {
        end = middle;
      }
    }
  }

  // To the row behind this place, or the one before it. False at the end.
  bool take_next() {
    while (!path_.empty() && path_.back().at == path_.back().page->count()) {
      path_.pop_back();
      if (!path_.empty()) ++path_.back().at;
    }
    if (path_.empty()) return false;
    while (!leaf()) enter_child(path_.back().at);
    return true;
  }
  bool take_previous() {
    while (!path_.empty() && path_.back().at == 0) path_.pop_back();
    if (path_.empty()) return false;
    --path_.back().at;
    while (!leaf()) {
      enter_child(path_.back().at);
      path_.back().at = path_.back().page->count() - 1;
    }
    return true;
  }
  void pass() { ++path_.back().at; }

  // Live until the cursor moves.
  BytesView key() const { return path_.back().page->key(path_.back().at); }
  BytesView value() {
    const Level& level = path_.back();
    if (!level.page->has_own_pages(level.at)) return level.page->value(level.at);
    const std::uint64_t first = level.page->value_page(level.at);
    own_pages_ =
        read_value_pages(*tables_.file_, tables_.meta_, first, level.page->value_size(level.at));
    if (tables_.taken_[first]) {
      throw_damaged(*tables_.file_, fmt::format("page {} is free, and a row is on it", first));
    }
    return own_pages_.bytes;
  }

 private:
  struct Level {
    std::shared_ptr<const DataPage> page;
    std::size_t at = 0;
    KeyRange range;  // of the page's keys
  };

  bool leaf() const { return path_.back().page->is_leaf(); }
  void enter(std::uint64_t number, const KeyRange& range) {
    const bool is_leaf = path_.size() + 1 == tree_.depth;
    auto page = tables_.page(kind_, number, is_leaf);
    page->check_range(*tables_.file_, range);
    path_.push_back({std::move(page), 0, range});
  }
  void enter_child(std::size_t child) {
    Level& level = path_.back();
    level.at = child;
    enter(level.page->child(child), level.page->range_of_child(child, level.range));
  }

  const PagedTables& tables_;
  const TreeKind kind_;
  const DataTree& tree_;
  std::vector<Level> path_;  // from the root to the leaf
  ValuePages own_pages_;
};

class PagedReader : public TableReader {
 public:
  explicit PagedReader(const PagedTables& tables) : tables_(tables) {}

  std::optional<BytesView> get(Table table, BytesView key) override {
    found_.emplace(tables_, TreeKind::table, tables_.tree_of(table));
    found_->seek(key);
    if (!found_->take_next() || !std::ranges::equal(found_->key(), key)) return std::nullopt;
    return found_->value();
  }

  void scan(Table table, BytesView from, const Visit& visit) override {
    PageCursor cursor(tables_, TreeKind::table, tables_.tree_of(table));
    cursor.seek(from);
    while (cursor.take_next() && visit(cursor.key(), cursor.value())) cursor.pass();
  }

  void scan_back(Table table, BytesView below, const Visit& visit) override {
    PageCursor cursor(tables_, TreeKind::table, tables_.tree_of(table));
    cursor.seek(below);
    while (cursor.take_previous() && visit(cursor.key(), cursor.value())) {
    }
  }

 private:
  const PagedTables& tables_;
  std::optional<PageCursor> found_;  // keeps what `get` has handed out
};

PagedTables::PagedTables(std::shared_ptr<const File> file) : file_(std::move(file)) {
  DataState state = read_data_state(*file_);
  meta_ = state.meta;
  taken_ = std::move(state.taken);
  headers_ = read_headers();
  std::uint64_t entries = 0;
  PageCursor cursor(*this, TreeKind::main, meta_.main);
  cursor.seek({});
  for (; cursor.take_next(); cursor.pass()) {
    ++entries;
    const BytesView key = cursor.key();
    const std::string_view name(reinterpret_cast<const char*>(key.data()), key.size());
    for (std::size_t i = 0; i < table_count; ++i) {
      if (name == to_string(static_cast<Table>(i))) trees_[i] = load_tree(cursor.value());
    }
  }
  if (entries != meta_.main.entries) {
    throw_damaged(*file_,
                  fmt::format("it has {} tables, expected {}", entries, meta_.main.entries));
  }
}

PagedTables::Headers PagedTables::read_headers() const {
  Headers headers{};
  const std::span<std::byte> all(headers);
  (void)file_->read_at(0, all.first(data_header_size));
  (void)file_->read_at(meta_.page_size, all.last(data_header_size));
  return headers;
}

bool PagedTables::is_newest() const { return read_headers() == headers_; }

std::unique_ptr<TableReader> PagedTables::reader() const {
  return std::make_unique<PagedReader>(*this);
}

const DataTree& PagedTables::tree_of(Table table) const {
  const auto& tree = trees_[static_cast<std::size_t>(table)];
  if (tree && tree->flags == 0) return *tree;
  throw_damaged(*file_, fmt::format("the index has no table {}", to_string(table)));
}

std::shared_ptr<const DataPage> PagedTables::page(TreeKind kind, std::uint64_t number,
                                                  bool leaf) const {
  {
    const std::lock_guard lock(mutex_);
    const auto known = pages_.find(number);
    if (known != pages_.end() && known->second->is_leaf() == leaf &&
        known->second->kind() == kind) {
      return known->second;
    }
  }
  if (number < 2 || number > meta_.last_page || taken_[number]) {
    throw_damaged(*file_, fmt::format("page {} is pointed at: it is free, or behind the last, {}",
                                      number, meta_.last_page));
  }
  auto page = std::make_shared<const DataPage>(*file_, meta_, kind, number, leaf);
  const std::lock_guard lock(mutex_);
  if (pages_.size() >= most_pages_kept) {  // a long scan: the way down stays
    std::erase_if(pages_, [](const auto& one) { return one.second->is_leaf(); });
    if (pages_.size() >= most_pages_kept / 2) pages_.clear();
  }
  pages_.emplace(number, page);
  return page;
}

}  // namespace ckp
