// The LMDB index: derived data only, disposable. The one place that knows LMDB is
// index/lmdb_index.cc.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ckp/digest.h"
#include "ckp/error.h"
#include "ckp/file_system.h"
#include "ckp/format/record.h"
#include "ckp/format/store_identity.h"
#include "ckp/records.h"
#include "query/search_view.h"

namespace ckp {

// A stored chunk that the index knows by content id.
struct ChunkRow {
  Digest raw_digest;
  format::ChunkAddress address;
  std::uint32_t raw_size = 0;
};

// Inside Index::update. Everything becomes visible together, or not at all.
class IndexUpdate {
 public:
  virtual ~IndexUpdate() = default;
  virtual void put_run(const RunRecord& run) = 0;  // replaces; a changed name moves its name entry
  virtual void erase_run(const Uuid& run) = 0;     // and its checkpoints, not their chunks
  virtual void put_checkpoint(const CheckpointRecord& checkpoint) = 0;
  virtual void erase_checkpoint(const Uuid& checkpoint) = 0;  // no error when absent
  virtual void put_chunks(std::span<const ChunkRow> rows) = 0;
  // Forgets all chunks stored in these packs.
  virtual void erase_chunks(std::span<const Uuid> packs) = 0;
};

// Of one table: how many rows, and the wrapping sum of their checksums.
struct TableSums {
  std::uint64_t count = 0;
  std::uint64_t sum = 0;
  void add(std::uint64_t checksum) { ++count, sum += checksum; }
  void remove(std::uint64_t checksum) { --count, sum -= checksum; }
  friend bool operator==(const TableSums&, const TableSums&) = default;
};

// What every table holds, by name: equal for indexes of equal content.
using IndexSummary = std::map<std::string, TableSums, std::less<>>;
void add(IndexSummary& to, const IndexSummary& from);
// Of an index that has had these changes and no others. Nothing may be put twice.
IndexSummary summary_of(const std::function<void(IndexUpdate&)>& changes);

// Runs, and what tells them from others: where the sums are the same, so are the runs.
struct ListedRuns {
  std::shared_ptr<const RunList> runs;
  TableSums sums;
};

// Thrown by Index::open: another version of the library made this index. It is to be made anew,
// which is no news to anybody.
class OtherIndexSchema : public Error {
 public:
  explicit OtherIndexSchema(const std::string& message) : Error(ErrorCode::corrupt, message) {}
};

// One environment. Thread-safe. Readers and writers of all processes are kept apart by locks on
// the store's lock file (gate byte, data byte), not by LMDB's own (MDB_NOLOCK): those fail between
// containers with equal pids, on double opens and after fork. Lock order: store lock, then these.
// Every value carries a checksum over its table, key and bytes, and each table keeps its row count
// and the sum of its rows' hashes, so that lost rows are noticed. Damage is Error(corrupt): rebuild
// then.
class Index {
 public:
  // Opens the environment in `directory`, making both when absent. `store` must match what is
  // inside, else Error(corrupt). Waits for the index lock at most `lock_timeout_ms` each time.
  static std::unique_ptr<Index> open(FileSystem& fs, const std::filesystem::path& directory,
                                     const std::filesystem::path& lock_file, const Uuid& store,
                                     std::int64_t lock_timeout_ms = 60'000);
  virtual ~Index() = default;

  // The data file as it is now, and the last transaction. For the state block.
  virtual format::IndexStamp stamp() const = 0;
  // Whether the data file at the path is still the one this object has open.
  virtual bool is_current() const = 0;

  // One write transaction; grows the map and runs `change` again when it is full, so `change` must
  // be repeatable. Until the next update, or sync(), a power cut can take it back, as a whole.
  virtual void update(const std::function<void(IndexUpdate&)>& change) = 0;
  // Makes every update so far durable.
  virtual void sync() = 0;

  virtual std::vector<RunRecord> runs() const = 0;  // by the time they were created
  // The same, decoded once and shared: what has not changed is what it was the last time.
  virtual ListedRuns run_list() const = 0;
  virtual TableSums run_sums() const = 0;         // those of run_list
  virtual std::vector<Uuid> run_ids() const = 0;  // in their own order
  // Of several the one that was created first.
  virtual std::optional<RunRecord> run_named(std::string_view name) const = 0;
  virtual std::optional<RunRecord> run(const Uuid& id) const = 0;
  // In commit order.
  virtual std::vector<CheckpointRecord> checkpoints(const Uuid& run) const = 0;
  virtual std::vector<Uuid> checkpoint_ids(const Uuid& run) const = 0;  // the same, without records
  virtual std::optional<CheckpointRecord> checkpoint(const Uuid& id) const = 0;
  // Checkpoints whose id starts with these hex digits; at most `limit`.
  virtual std::vector<CheckpointRecord> checkpoints_by_prefix(std::string_view hex,
                                                              std::size_t limit) const = 0;
  // For each digest the places where a chunk with its content id and size is stored, at most
  // `limit` each. Hints: the caller checks that the pack is live and compares bytes.
  virtual std::vector<std::vector<ChunkRow>> find_chunks(std::span<const Digest> raw_digests,
                                                         std::size_t limit) const = 0;
  virtual std::uint64_t chunk_count() const = 0;
  // Inside one read transaction: nothing else of the index may be asked in `body`.
  virtual void look(const std::function<void(SearchView&)>& body) const = 0;

  // What the tables say about themselves; `check` compares it with their rows.
  virtual IndexSummary summary() const = 0;
  // Reads every row of every table, and compares checksums, counts and hash sums. The returned
  // lines say what is wrong; empty: all good.
  virtual std::vector<std::string> check() const = 0;
  // Every row as "table key value" in hexadecimal, sorted: two indexes of equal content give equal
  // lines.
  virtual std::vector<std::string> dump() const = 0;
};

}  // namespace ckp
