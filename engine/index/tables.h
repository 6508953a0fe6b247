// Ordered tables of bytes with transactions: what the index needs of a database, and no more.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "ckp/file_system.h"
#include "ckp/format/store_identity.h"

namespace ckp {

// Numbers are part of every row's checksum and never reused.
enum class Table : std::uint8_t {
  meta = 0,            // "store"; one row of sums for each other table
  runs = 1,            // run uuid -> record
  run_names = 2,       // name, 0, run uuid -> nothing
  checkpoints = 3,     // run uuid, commit, checkpoint uuid -> record
  checkpoint_ids = 4,  // checkpoint uuid -> run uuid, commit
  chunks = 5,          // content id, pack uuid, number -> raw size, raw digest
  pack_chunks = 6,     // pack uuid, number -> content id
  metric_values = 7,   // metric, value, run uuid, commit, checkpoint uuid -> what a search skips by
  run_metrics = 8,     // run uuid, metric, value, commit, checkpoint uuid -> the same; behind all
                       // metrics attempt, commit, checkpoint uuid -> the same, size, time
};
constexpr std::size_t table_count = 9;
std::string_view to_string(Table table);

using BytesView = std::span<const std::byte>;

// A consistent view of all tables inside one transaction. Bytes handed out by `get` live until its
// next call or a change, those of a row that is visited until `visit` returns.
class TableReader {
 public:
  virtual ~TableReader() = default;
  virtual std::optional<BytesView> get(Table table, BytesView key) = 0;
  // Visits rows in key order, from the first key that is not below `from`, until `visit` says
  // false. `visit` must not change the tables.
  using Visit = std::function<bool(BytesView key, BytesView value)>;
  virtual void scan(Table table, BytesView from, const Visit& visit) = 0;
  // The same in falling order, from the last key below `below`.
  virtual void scan_back(Table table, BytesView below, const Visit& visit) = 0;
};

class TableWriter : public TableReader {
 public:
  virtual void put(Table table, BytesView key, BytesView value) = 0;  // replaces
  virtual bool erase(Table table, BytesView key) = 0;                 // false when absent
};

// One database environment: several threads, several processes, one writer at a time. Reading takes
// ordinary reads, each page checked first; only a change lets the database have the file, after a
// walk over its pages. A page that is damaged is Error(corrupt) either way.
class Tables {
 public:
  // Opens the tables in `directory`, making both when absent. Waits for the lock at most
  // `lock_timeout_ms` each time, then throws Error(locked).
  static std::unique_ptr<Tables> open(FileSystem& fs, const std::filesystem::path& directory,
                                      const std::filesystem::path& lock_file,
                                      std::int64_t lock_timeout_ms = 60'000);
  virtual ~Tables() = default;

  // Runs `body` in a transaction. Read transactions hold back every writer: copy and leave.
  virtual void read(const std::function<void(TableReader&)>& body) const = 0;
  // Runs `body` and commits; when `body` throws nothing has happened. May run it again after
  // growing the map. After a failed commit every call throws. A power cut can take back the last
  // commit, as a whole, until the next one or sync().
  virtual void write(const std::function<void(TableWriter&)>& body) = 0;
  // Makes every commit so far durable.
  virtual void sync() = 0;

  // Walks all pages on disk: what is wrong, or nothing. The database may crash on a page that this
  // refuses.
  virtual std::vector<std::string> check_pages() const = 0;

  virtual format::IndexStamp stamp() const = 0;
  virtual bool is_current() const = 0;
};

}  // namespace ckp
