// The pages of the index's data file as LMDB 0.9 lays them out on a 64-bit machine
// (libraries/liblmdb/mdb.c: MDB_page, MDB_node, MDB_db, MDB_meta), in the machine's own byte order:
//   page  0 number u64 | 8 pad u16 | 10 flags u16 | 12 lower u16 | 14 upper u16 | 16 offsets u16...
//         an overflow page has its number of pages (u32) at 12
//   node  0 low u16 | 2 high u16 | 4 flags u16 | 6 key size u16 | 8 key, data
//         branch: child page = low | high << 16 | flags << 32; leaf: data size = low | high << 16
//   tree  0 pad u32 | 4 flags u16 | 6 depth u16 | 8 branch pages, 16 leaf pages, 24 overflow pages,
//         32 entries, 40 root page: u64
//   meta  (after a page header, on pages 0 and 1; the higher transaction counts)
//         0 magic u32 | 4 version u32 | 8 address u64 | 16 map size u64 | 24 free tree (its pad is
//         the page size) | 72 main tree | 120 last page u64 | 128 transaction u64
//
// Everything here reads and checks, and believes nothing: damage is Error(corrupt).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ckp/file_system.h"
#include "index/tables.h"

namespace ckp {

// What its rows are: lists of free pages, the trees of the tables, or a table's.
enum class TreeKind { free, main, table };

struct DataTree {
  static constexpr std::uint64_t no_page = ~std::uint64_t{0};
  std::uint16_t flags = 0, depth = 0;
  std::uint64_t branches = 0, leaves = 0, overflows = 0, entries = 0, root = no_page;
  bool empty() const { return root == no_page; }
};
constexpr std::size_t tree_size = 48;
constexpr std::uint16_t deepest_tree = 32;
DataTree load_tree(BytesView bytes);

struct DataMeta {
  std::uint64_t page_size = 0, last_page = 0, transaction = 0;
  DataTree free, main;
};

// A page that holds a header, from its start.
constexpr std::size_t data_header_size = 16 + 136;
DataMeta read_data_meta(const File& file, std::uint64_t number, std::uint64_t offset);

[[noreturn]] void throw_damaged(const File& file, const std::string& message);

// In the order of a tree's keys.
bool key_less(TreeKind kind, BytesView a, BytesView b);

// Keys in [low, high); no value: no limit.
struct KeyRange {
  std::optional<BytesView> low, high;
};

// A page of a tree, read and checked: its rows are where it says and fill what it says, and their
// keys ascend.
class DataPage {
 public:
  DataPage(const File& file, const DataMeta& meta, TreeKind kind, std::uint64_t number, bool leaf);

  TreeKind kind() const { return kind_; }
  std::uint64_t number() const { return number_; }
  bool is_leaf() const { return leaf_; }
  std::size_t count() const { return count_; }
  // The first one of a branch page means nothing.
  BytesView key(std::size_t i) const;
  // Of a branch page.
  std::uint64_t child(std::size_t i) const;
  KeyRange range_of_child(std::size_t i, const KeyRange& own) const;
  // Of a leaf: the value, or where it stands on pages of its own.
  std::uint64_t value_size(std::size_t i) const;
  bool has_own_pages(std::size_t i) const;
  BytesView value(std::size_t i) const;
  std::uint64_t value_page(std::size_t i) const;

  // Throws unless all keys are inside what the parent promises: otherwise a look-up would miss rows
  // that a scan finds.
  void check_range(const File& file, const KeyRange& range) const;

 private:
  BytesView node(std::size_t i) const;
  std::uint64_t check_node(const File& file, std::size_t i, std::uint16_t upper) const;

  std::vector<std::byte> bytes_;
  std::uint64_t number_;
  std::size_t count_ = 0;
  TreeKind kind_;
  bool leaf_;
};

// A value on pages of its own: as many as it needs, or more if a larger one stood there before.
struct ValuePages {
  std::uint64_t pages = 0;
  std::vector<std::byte> bytes;
};
ValuePages read_value_pages(const File& file, const DataMeta& meta, std::uint64_t first,
                            std::uint64_t size);

}  // namespace ckp
