// The tables of one committed state of the data file, by ordinary reads and without LMDB: nothing
// is mapped, and only what a question needs is read. Each page is checked before it is believed: it
// is the one that was asked for, no free one, and its keys are in order and where its parent says.
// What is left for rows' checksums to tell is what their bytes are; see RowReader.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "index/data_file.h"

namespace ckp {

// Thread-safe. Whoever reads holds the index lock: the next commit but one takes the pages.
class PagedTables {
 public:
  // The newest state. Error(corrupt).
  explicit PagedTables(std::shared_ptr<const File> file);

  // Whether the file's headers still say the same.
  bool is_newest() const;
  // Of the file, at least.
  std::uint64_t size() const { return (meta_.last_page + 1) * meta_.page_size; }
  std::uint64_t transaction() const { return meta_.transaction; }

  // Lives no longer than this. What `get` hands out lives until its next `get`.
  std::unique_ptr<TableReader> reader() const;

 private:
  friend class PageCursor;
  friend class PagedReader;
  using Headers = std::array<std::byte, 2 * data_header_size>;
  Headers read_headers() const;
  const DataTree& tree_of(Table table) const;
  std::shared_ptr<const DataPage> page(TreeKind kind, std::uint64_t number, bool leaf) const;

  std::shared_ptr<const File> file_;
  DataMeta meta_;
  std::vector<bool> taken_;
  Headers headers_;
  std::array<std::optional<DataTree>, table_count> trees_;
  mutable std::mutex mutex_;
  mutable std::unordered_map<std::uint64_t, std::shared_ptr<const DataPage>> pages_;  // read before
};

}  // namespace ckp
