#include "index/index.h"

#include <fmt/format.h>

#include <algorithm>

#include "ckp/error.h"
#include "index/index_update.h"
#include "index/row_view.h"
#include "index/run_cache.h"
#include "index/summary.h"
#include "index/tables.h"

namespace ckp {
namespace {

constexpr Table all_tables[] = {Table::meta,        Table::runs,           Table::run_names,
                                Table::checkpoints, Table::checkpoint_ids, Table::chunks,
                                Table::pack_chunks, Table::metric_values,  Table::run_metrics};

Bytes copy(BytesView bytes) { return {bytes.begin(), bytes.end()}; }

std::optional<std::string> difference_of(Table table, const TableSums& found,
                                         const TableSums& expected) {
  if (found == expected) return std::nullopt;
  return fmt::format("index: table {} has {} rows with sum {:016x}, expected {} with {:016x}",
                     to_string(table), found.count, found.sum, expected.count, expected.sum);
}

// Every row of one table against its checksum, and all together against the table's sums.
std::optional<std::string> check_table(TableReader& tables, Table table) {
  TableSums found;
  try {
    tables.scan(table, {}, [&](BytesView key, BytesView value) {
      found.add(check_row(table, key, value));
      return true;
    });
    RowReader rows(tables);
    if (table == Table::meta) return std::nullopt;  // holds the sums of the others
    return difference_of(table, found, read_sums(rows, table));
  } catch (const Error& error) {
    return error.what();
  }
}

class StoreIndex : public Index {
 public:
  StoreIndex(FileSystem& fs, const std::filesystem::path& directory,
             const std::filesystem::path& lock_file, const Uuid& store,
             std::int64_t lock_timeout_ms)
      : directory_(directory), tables_(Tables::open(fs, directory, lock_file, lock_timeout_ms)) {
    if (claimed_by(store)) return;
    tables_->write([&](TableWriter& tables) {
      RowWriter rows(tables);
      if (!rows.get(Table::meta, row_key::store())) {
        rows.put(Table::meta, row_key::store(), encode(StoreRow{index_schema, store}));
      }
      rows.finish();
    });
    claimed_by(store);  // another process may have been first
  }

  format::IndexStamp stamp() const override { return tables_->stamp(); }
  bool is_current() const override { return tables_->is_current(); }

  void sync() override { tables_->sync(); }

  void update(const std::function<void(IndexUpdate&)>& change) override {
    tables_->write([&](TableWriter& tables) {
      RowWriter rows(tables);
      RowUpdate update(rows);
      change(update);
      rows.finish();
    });
  }

  std::vector<RunRecord> runs() const override {
    std::vector<RunRecord> result;
    const auto list = run_list().runs;
    for (const auto& run : *list) result.push_back(*run);
    return result;
  }

  ListedRuns run_list() const override {
    RunCache::Rows found = run_cache_.rows();
    TableSums expected;
    bool changed = true;
    tables_->read([&](TableReader& tables) {
      RowReader rows(tables);
      expected = read_sums(rows, Table::runs);
      changed = expected != found.sums_before();
      if (!changed) return;
      tables.scan(Table::runs, {}, [&](BytesView key, BytesView value) {
        found.add(check_row(Table::runs, key, value), value);
        return true;
      });
    });
    if (!changed) return {found.list_before(), expected};
    if (const auto problem = difference_of(Table::runs, found.sums(), expected)) {
      throw Error(ErrorCode::corrupt, *problem);
    }
    return {run_cache_.list_of(std::move(found)), expected};
  }

  TableSums run_sums() const override {
    TableSums sums;
    read([&](RowReader& rows) { sums = read_sums(rows, Table::runs); });
    return sums;
  }

  std::vector<Uuid> run_ids() const override {
    std::vector<Uuid> ids;
    read([&](RowReader& rows) {
      ids.clear();
      rows.scan_prefix(Table::run_names, {}, [&](BytesView key, BytesView) {
        ids.push_back(run_of_name_key(key));
        return true;
      });
      check_count(Table::run_names, ids.size(), read_sums(rows, Table::run_names));
    });
    std::sort(ids.begin(), ids.end());
    return ids;
  }

  std::optional<RunRecord> run_named(std::string_view name) const override {
    std::vector<Bytes> payloads;
    read([&](RowReader& rows) {
      payloads.clear();
      std::vector<Uuid> ids;
      rows.scan_prefix(Table::run_names, row_key::run_name(name), [&](BytesView key, BytesView) {
        ids.push_back(run_of_name_key(key));
        return true;
      });
      for (const Uuid& id : ids) payloads.push_back(required(rows, Table::runs, row_key::run(id)));
    });
    std::optional<RunRecord> oldest;
    for (const Bytes& payload : payloads) {
      RunRecord run = decode_run(payload);
      if (!oldest || created_before(run, *oldest)) oldest = std::move(run);
    }
    return oldest;
  }

  std::optional<RunRecord> run(const Uuid& id) const override {
    std::optional<Bytes> payload;
    read([&](RowReader& rows) {
      if (const auto found = rows.get(Table::runs, row_key::run(id))) payload = copy(*found);
    });
    return payload ? std::optional(decode_run(*payload)) : std::nullopt;
  }

  std::vector<CheckpointRecord> checkpoints(const Uuid& run) const override {
    return decode_all(payloads(Table::checkpoints, row_key::run_checkpoints(run)));
  }

  std::vector<Uuid> checkpoint_ids(const Uuid& run) const override {
    std::vector<Uuid> ids;
    read([&](RowReader& rows) {
      ids.clear();
      rows.scan_prefix(Table::checkpoints, row_key::run_checkpoints(run),
                       [&](BytesView key, BytesView) {
                         ids.push_back(checkpoint_of_key(key));
                         return true;
                       });
    });
    return ids;
  }

  std::optional<CheckpointRecord> checkpoint(const Uuid& id) const override {
    const auto found = by_id_prefix(row_key::checkpoint_id(id), {}, 1);
    return found.empty() ? std::nullopt : std::optional(found.front());
  }

  std::vector<CheckpointRecord> checkpoints_by_prefix(std::string_view digits,
                                                      std::size_t limit) const override {
    std::string lower(digits);
    for (char& c : lower) {
      if (c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
    }
    if (lower.size() > 32 || lower.find_first_not_of("0123456789abcdef") != std::string::npos) {
      return {};
    }
    // Whole bytes are looked up; a digit that is left over is compared afterwards.
    const auto padded = Uuid::from_hex(lower + std::string(32 - lower.size(), '0'));
    Bytes prefix = row_key::checkpoint_id(*padded);
    prefix.resize(lower.size() / 2);
    return by_id_prefix(prefix, lower, limit);
  }

  std::vector<std::vector<ChunkRow>> find_chunks(std::span<const Digest> raw_digests,
                                                 std::size_t limit) const override {
    std::vector<std::vector<ChunkRow>> result;
    result.reserve(raw_digests.size());
    // Several short transactions rather than a long one: these are hints, not a snapshot.
    constexpr std::size_t slice = 1024;
    while (result.size() < raw_digests.size()) {
      read([&](RowReader& rows) {
        const std::size_t end = std::min(result.size() + slice, raw_digests.size());
        while (result.size() < end) {
          result.push_back(places_of(rows, raw_digests[result.size()], limit));
        }
      });
    }
    return result;
  }

  std::uint64_t chunk_count() const override {
    std::uint64_t count = 0;
    read([&](RowReader& rows) { count = read_sums(rows, Table::chunks).count; });
    return count;
  }

  void look(const std::function<void(SearchView&)>& body) const override {
    read([&](RowReader& rows) {
      RowView view(rows);
      body(view);
    });
  }

  IndexSummary summary() const override {
    IndexSummary summary;
    read([&](RowReader& rows) { summary = read_summary(rows); });
    return summary;
  }

  std::vector<std::string> check() const override {
    std::vector<std::string> problems = tables_->check_pages();
    if (!problems.empty()) return problems;  // LMDB might not survive such pages
    return check_rows();
  }

  std::vector<std::string> dump() const override {
    std::vector<std::string> lines;
    tables_->read([&](TableReader& tables) {
      for (const Table table : all_tables) {
        tables.scan(table, {}, [&](BytesView key, BytesView value) {
          lines.push_back(fmt::format("{} {} {}", to_string(table), hex(key), hex(value)));
          return true;
        });
      }
    });
    std::sort(lines.begin(), lines.end());
    return lines;
  }

 private:
  std::vector<std::string> check_rows() const {
    std::vector<std::string> problems;
    tables_->read([&](TableReader& tables) {
      for (const Table table : all_tables) {
        if (auto problem = check_table(tables, table)) problems.push_back(std::move(*problem));
      }
    });
    return problems;
  }

  void read(const std::function<void(RowReader&)>& body) const {
    tables_->read([&](TableReader& tables) {
      RowReader rows(tables);
      body(rows);
    });
  }

  // False when nobody has claimed this index yet.
  bool claimed_by(const Uuid& store) const {
    std::optional<StoreRow> row;
    read([&](RowReader& rows) {
      if (const auto found = rows.get(Table::meta, row_key::store()))
        row = decode_store_row(*found);
    });
    if (!row) return false;
    const std::string message =
        fmt::format("{}: this index is of store {} (schema {}), expected {} (schema {})",
                    directory_.string(), row->store.hex(), row->schema, store.hex(), index_schema);
    if (row->store != store) throw Error(ErrorCode::corrupt, message);
    if (row->schema != index_schema) throw OtherIndexSchema(message);
    return true;
  }

  // A row that another row points at.
  static Bytes required(RowReader& rows, Table table, BytesView key) {
    const auto payload = rows.get(table, key);
    if (payload) return copy(*payload);
    throw Error(ErrorCode::corrupt,
                fmt::format("index: table {} lacks row {}", to_string(table), hex(key)));
  }

  // Copied out: decoding comes after the transaction.
  std::vector<Bytes> payloads(Table table, BytesView prefix) const {
    std::vector<Bytes> result;
    read([&](RowReader& rows) {
      rows.scan_prefix(table, prefix, [&](BytesView, BytesView payload) {
        result.push_back(copy(payload));
        return true;
      });
    });
    return result;
  }

  // A scan of a whole table sees whether rows are missing.
  static void check_count(Table table, std::uint64_t found, const TableSums& expected) {
    if (found == expected.count) return;
    throw Error(ErrorCode::corrupt, fmt::format("index: table {} has {} rows, expected {}",
                                                to_string(table), found, expected.count));
  }

  static std::vector<CheckpointRecord> decode_all(const std::vector<Bytes>& payloads) {
    std::vector<CheckpointRecord> result;
    result.reserve(payloads.size());
    for (const Bytes& payload : payloads) result.push_back(decode_checkpoint(payload));
    return result;
  }

  // Checkpoints whose id begins with these bytes and, spelled out, with these digits.
  std::vector<CheckpointRecord> by_id_prefix(BytesView prefix, std::string_view digits,
                                             std::size_t limit) const {
    std::vector<Bytes> found;
    read([&](RowReader& rows) {
      std::vector<Bytes> keys;
      rows.scan_prefix(Table::checkpoint_ids, prefix, [&](BytesView key, BytesView payload) {
        if (keys.size() >= limit) return false;
        if (!hex(key).starts_with(digits)) return true;
        const CheckpointPlace place = decode_checkpoint_place(payload);
        Uuid id;
        std::copy_n(key.begin(), std::min(key.size(), id.bytes.size()), id.bytes.begin());
        keys.push_back(row_key::checkpoint(place.run, place.commit, id));
        return true;
      });
      for (const Bytes& key : keys) found.push_back(required(rows, Table::checkpoints, key));
    });
    return decode_all(found);
  }

  static std::vector<ChunkRow> places_of(RowReader& rows, const Digest& raw_digest,
                                         std::size_t limit) {
    std::vector<ChunkRow> places;
    if (limit == 0) return places;
    rows.scan_prefix(Table::chunks, row_key::content(content_id(raw_digest)),
                     [&](BytesView key, BytesView payload) {
                       places.push_back(decode_chunk(key, payload));
                       return places.size() < limit;
                     });
    return places;
  }

  const std::filesystem::path directory_;
  const std::unique_ptr<Tables> tables_;
  mutable RunCache run_cache_;
};

}  // namespace

std::unique_ptr<Index> Index::open(FileSystem& fs, const std::filesystem::path& directory,
                                   const std::filesystem::path& lock_file, const Uuid& store,
                                   std::int64_t lock_timeout_ms) {
  return std::make_unique<StoreIndex>(fs, directory, lock_file, store, lock_timeout_ms);
}

}  // namespace ckp
