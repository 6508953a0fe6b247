// How the index's rows are encoded, and the checks that every row carries.
//
// Value on disk = payload, XXH3-64 over (table number, key length, key, payload). A table's row in
// `meta` keeps its row count and the wrapping sum of its rows' checksums, updated in the
// transaction that changes the table: a damaged page that hides rows changes the sum. Rows come
// from the records alone, so that a rebuilt index equals one that grew.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ckp/digest.h"
#include "ckp/records.h"
#include "ckp/uuid.h"
#include "index/index.h"
#include "index/tables.h"
#include "query/search_view.h"

namespace ckp {

// An index of another one is made anew. 2: metric_values and run_metrics. 3: sizes and times of
// checkpoints in run_metrics.
constexpr std::uint32_t index_schema = 3;

using Bytes = std::vector<std::byte>;

// For messages and dumps.
std::string hex(BytesView bytes);

namespace row_key {
Bytes store();                          // meta
Bytes sums(Table table);                // meta
Bytes run(const Uuid& run);             // runs
Bytes run_name(std::string_view name);  // run_names: what all keys of a name begin with
Bytes run_name(std::string_view name, const Uuid& run);
Bytes run_checkpoints(const Uuid& run);  // checkpoints: what all of a run begin with
Bytes checkpoint(const Uuid& run, std::uint64_t commit, const Uuid& checkpoint);
Bytes checkpoint_id(const Uuid& checkpoint);  // checkpoint_ids
Bytes content(const Digest& content_id);      // chunks: what all of a content id begin with
Bytes chunk(const Digest& content_id, const format::ChunkAddress& address);
Bytes pack(const Uuid& pack);  // pack_chunks: what all of a pack begin with
Bytes pack_chunk(const format::ChunkAddress& address);
Bytes metric(std::string_view name);  // metric_values: what all of a metric begin with
Bytes run_metric(const Uuid& run, std::string_view name);  // run_metrics, likewise
Bytes run_attempts(const Uuid& run);                       // run_metrics: behind all of its metrics
}  // namespace row_key

// Which store this index belongs to.
struct StoreRow {
  std::uint32_t schema = index_schema;
  Uuid store;
};
Bytes encode(const StoreRow& row);
StoreRow decode_store_row(BytesView payload);

// Where a checkpoint's record is.
struct CheckpointPlace {
  Uuid run;
  std::uint64_t commit = 0;
  friend bool operator==(const CheckpointPlace&, const CheckpointPlace&) = default;
};
Bytes encode(const CheckpointPlace& place);
CheckpointPlace decode_checkpoint_place(BytesView payload);

Bytes encode(const RunRecord& run);
RunRecord decode_run(BytesView payload);
Bytes encode(const CheckpointRecord& checkpoint);
CheckpointRecord decode_checkpoint(BytesView payload);

// A chunk row's payload; the rest of the row is in the key.
Bytes encode(const ChunkRow& row);
ChunkRow decode_chunk(BytesView key, BytesView payload);
Bytes encode_content_id(const Digest& content_id);
Digest decode_content_id(BytesView payload);
// The number at the end of a pack_chunks key.
std::uint32_t chunk_number_of(BytesView pack_chunk_key);
// The uuid at the end of a run_names key, and of a checkpoints key.
Uuid run_of_name_key(BytesView key);
Uuid checkpoint_of_key(BytesView key);

// A metric of a name with more bytes has no rows: LMDB's keys have at most 511.
constexpr std::size_t longest_metric = 400;

// The rows of a checkpoint in metric_values and run_metrics: one for each number that is not NaN,
// and in run_metrics one for its attempt.
struct SearchRow {
  Table table;
  Bytes key;
  Bytes payload;
};
std::uint64_t ordered_number(double value);  // as the keys sort by it; -0 is 0, NaN has no place
std::vector<SearchRow> search_rows(const CheckpointRecord& checkpoint);
MetricEntry decode_metric_value(BytesView key, BytesView payload);  // metric_values
MetricEntry decode_run_metric(BytesView key, BytesView payload);    // run_metrics
std::uint32_t attempt_of_key(BytesView key);                        // run_metrics, behind metrics
SaveEntry decode_save(BytesView key, BytesView payload);            // likewise

// Reads rows and checks them. That a row is not there is checked, too: the rows before and behind
// its place are looked at, so that none hides behind a key that has rotted. Payloads live as long
// as the bytes of TableReader.
class RowReader {
 public:
  explicit RowReader(TableReader& tables) : tables_(tables) {}
  std::optional<BytesView> get(Table table, BytesView key);
  using Visit = std::function<bool(BytesView key, BytesView payload)>;
  // Rows whose key begins with `prefix`, in key order, until `visit` says false.
  void scan_prefix(Table table, BytesView prefix, const Visit& visit);
  // Rows whose key goes on behind `prefix` with a number in [first, last], forwards or backwards.
  void scan_range(Table table, BytesView prefix, std::uint64_t first, std::uint64_t last, bool back,
                  const Visit& visit);

 private:
  void check_before(Table table, BytesView key);
  void check_from(Table table, BytesView key);
  TableReader& tables_;
};

// All zero when the table has no row of sums yet.
TableSums read_sums(RowReader& rows, Table table);

// Changes rows and keeps the sums. `finish` writes the sums; call it last.
class RowWriter : public RowReader {
 public:
  explicit RowWriter(TableWriter& tables) : RowReader(tables), tables_(tables) {}
  void put(Table table, BytesView key, BytesView payload);
  bool erase(Table table, BytesView key);  // false when absent
  void finish();

 private:
  TableSums& sums(Table table);
  TableWriter& tables_;
  std::array<std::optional<TableSums>, table_count> sums_;
};

// The checksum at the end of a stored value, compared with what it should be. Error(corrupt).
std::uint64_t check_row(Table table, BytesView key, BytesView value);

}  // namespace ckp
