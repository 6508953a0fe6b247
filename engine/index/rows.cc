#include "index/rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "ckp/error.h"
#include "ckp/format/wire.h"
#include "runs/record_codec.h"

namespace ckp {

std::string hex(BytesView bytes) {
  std::string text;
  for (const std::byte b : bytes) text += fmt::format("{:02x}", std::to_integer<unsigned>(b));
  return text;
}

namespace {

using format::as_bytes;
using format::Reader;
using format::Writer;

constexpr std::size_t checksum_size = 8;
constexpr std::size_t uuid_size = 16;

// Big-endian, so that keys sort by number.
void put_ordered(Writer& out, std::uint64_t number, int bytes) {
  for (int i = bytes - 1; i >= 0; --i) out.u8(static_cast<std::uint8_t>(number >> (8 * i)));
}

// The digest's bytes as keys: `high` first, as it is printed.
void put_content_id(Writer& out, const Digest& id) {
  put_ordered(out, id.high, 8);
  put_ordered(out, id.low, 8);
}

std::uint64_t take_ordered(Reader& in, int bytes) {
  std::uint64_t number = 0;
  for (int i = 0; i < bytes; ++i) number = number << 8 | in.u8();
  return number;
}

std::uint64_t row_checksum(Table table, BytesView key, BytesView payload) {
  std::array<std::byte, 512> small;  // most rows are, and searches read many
  const auto key_size = static_cast<std::uint32_t>(key.size());
  const std::size_t size = 5 + key.size() + payload.size();
  Bytes large(size > small.size() ? size : 0);
  std::byte* const covered = large.empty() ? small.data() : large.data();
  covered[0] = static_cast<std::byte>(table);
  for (int i = 0; i < 4; ++i) covered[1 + i] = static_cast<std::byte>(key_size >> (8 * i));
  std::copy(payload.begin(), payload.end(), std::copy(key.begin(), key.end(), covered + 5));
  return checksum_of({covered, size});
}

constexpr std::uint64_t sign_bit = std::uint64_t{1} << 63;

double number_in_order(std::uint64_t ordered) {
  return std::bit_cast<double>((ordered & sign_bit) != 0 ? ordered & ~sign_bit : ~ordered);
}

// Its length first: no name's key begins with another's, whatever bytes are in them.
void put_metric(Writer& out, std::string_view name) {
  put_ordered(out, name.size(), 2);
  out.text(name);
}

constexpr std::uint64_t after_metrics = 0xffff;  // in place of a name's length

constexpr std::uint8_t resumable_flag = 1, salvaged_flag = 2;

BytesView payload_of(BytesView value) { return value.first(value.size() - checksum_size); }

template <class Fill>
Bytes make(Fill fill) {
  Writer out;
  fill(out);
  return out.release();
}

}  // namespace

std::string_view to_string(Table table) {
  switch (table) {
    case Table::meta:
      return "meta";
    case Table::runs:
      return "runs";
    case Table::run_names:
      return "run_names";
    case Table::checkpoints:
      return "checkpoints";
    case Table::checkpoint_ids:
      return "checkpoint_ids";
    case Table::chunks:
      return "chunks";
    case Table::pack_chunks:
      return "pack_chunks";
    case Table::metric_values:
      return "metric_values";
    case Table::run_metrics:
      return "run_metrics";
  }
  return "?";
}

namespace row_key {

Bytes store() {
  return make([](Writer& out) { out.text("store"); });
}

Bytes sums(Table table) {
  return make([&](Writer& out) {
    out.text("sums/");
    out.text(to_string(table));
  });
}

Bytes run(const Uuid& run) {
  return make([&](Writer& out) { out.uuid(run); });
}

Bytes run_name(std::string_view name) {
  return make([&](Writer& out) {
    out.text(name);
    out.u8(0);  // names have no control characters, so no name's key begins with another's
  });
}

Bytes run_name(std::string_view name, const Uuid& run) {
  return make([&](Writer& out) {
    out.bytes(run_name(name));
    out.uuid(run);
  });
}

Bytes run_checkpoints(const Uuid& run) { return row_key::run(run); }

Bytes checkpoint(const Uuid& run, std::uint64_t commit, const Uuid& checkpoint) {
  return make([&](Writer& out) {
    out.uuid(run);
    put_ordered(out, commit, 8);
    out.uuid(checkpoint);
  });
}

Bytes checkpoint_id(const Uuid& checkpoint) {
  return make([&](Writer& out) { out.uuid(checkpoint); });
}

Bytes content(const Digest& content_id) {
  return make([&](Writer& out) { put_content_id(out, content_id); });
}

Bytes chunk(const Digest& content_id, const format::ChunkAddress& address) {
  return make([&](Writer& out) {
    put_content_id(out, content_id);
    out.uuid(address.pack);
    put_ordered(out, address.number, 4);
  });
}

Bytes pack(const Uuid& pack) {
  return make([&](Writer& out) { out.uuid(pack); });
}

Bytes pack_chunk(const format::ChunkAddress& address) {
  return make([&](Writer& out) {
    out.uuid(address.pack);
    put_ordered(out, address.number, 4);
  });
}

Bytes metric(std::string_view name) {
  return make([&](Writer& out) { put_metric(out, name); });
}

Bytes run_metric(const Uuid& run, std::string_view name) {
  return make([&](Writer& out) {
    out.uuid(run);
    put_metric(out, name);
  });
}

Bytes run_attempts(const Uuid& run) {
  return make([&](Writer& out) {
    out.uuid(run);
    put_ordered(out, after_metrics, 2);
  });
}

}  // namespace row_key

Bytes encode(const StoreRow& row) {
  return make([&](Writer& out) {
    out.u32(row.schema);
    out.uuid(row.store);
  });
}

StoreRow decode_store_row(BytesView payload) {
  Reader in(payload, "index row of the store");
  StoreRow row;
  row.schema = in.u32();
  row.store = in.uuid();
  in.expect_end();
  return row;
}

Bytes encode(const CheckpointPlace& place) {
  return make([&](Writer& out) {
    out.uuid(place.run);
    out.u64(place.commit);
  });
}

CheckpointPlace decode_checkpoint_place(BytesView payload) {
  Reader in(payload, "index row of a checkpoint id");
  CheckpointPlace place;
  place.run = in.uuid();
  place.commit = in.u64();
  in.expect_end();
  return place;
}

Bytes encode(const RunRecord& run) { return to_cbor(to_value(run)); }
RunRecord decode_run(BytesView payload) { return run_from_value(from_cbor(payload)); }
Bytes encode(const CheckpointRecord& checkpoint) { return to_cbor(to_value(checkpoint)); }
CheckpointRecord decode_checkpoint(BytesView payload) {
  return checkpoint_from_value(from_cbor(payload));
}

Bytes encode(const ChunkRow& row) {
  return make([&](Writer& out) {
    out.u32(row.raw_size);
    out.digest(row.raw_digest);
  });
}

ChunkRow decode_chunk(BytesView key, BytesView payload) {
  ChunkRow row;
  Reader place(key, "index key of a chunk");
  place.skip(16);  // the content id
  row.address.pack = place.uuid();
  row.address.number = static_cast<std::uint32_t>(take_ordered(place, 4));
  place.expect_end();
  Reader in(payload, "index row of a chunk");
  row.raw_size = in.u32();
  row.raw_digest = in.digest();
  in.expect_end();
  return row;
}

Bytes encode_content_id(const Digest& content_id) { return row_key::content(content_id); }

Digest decode_content_id(BytesView payload) {
  Reader in(payload, "index row of a pack's chunk");
  Digest id;
  id.high = take_ordered(in, 8);
  id.low = take_ordered(in, 8);
  in.expect_end();
  return id;
}

std::uint32_t chunk_number_of(BytesView pack_chunk_key) {
  Reader in(pack_chunk_key, "index key of a pack's chunk");
  in.skip(uuid_size);
  const auto number = static_cast<std::uint32_t>(take_ordered(in, 4));
  in.expect_end();
  return number;
}

namespace {

Uuid last_uuid(BytesView key, std::string_view what) {
  Reader in(key, what);
  in.skip(key.size() < uuid_size ? key.size() + 1 : key.size() - uuid_size);
  return in.uuid();
}

}  // namespace

Uuid run_of_name_key(BytesView key) { return last_uuid(key, "index key of a run's name"); }
Uuid checkpoint_of_key(BytesView key) { return last_uuid(key, "index key of a checkpoint"); }

std::uint64_t ordered_number(double value) {
  const auto bits = std::bit_cast<std::uint64_t>(value == 0 ? 0.0 : value);
  return (bits & sign_bit) != 0 ? ~bits : bits | sign_bit;
}

namespace {

void put_search_payload(Writer& out, const CheckpointRecord& checkpoint) {
  out.u32(checkpoint.attempt);
  out.u8(static_cast<std::uint8_t>((checkpoint.resumable() ? resumable_flag : 0) |
                                   (checkpoint.salvaged_from ? salvaged_flag : 0)));
}

}  // namespace

std::vector<SearchRow> search_rows(const CheckpointRecord& checkpoint) {
  std::vector<SearchRow> rows;
  const Bytes payload = make([&](Writer& out) { put_search_payload(out, checkpoint); });
  const auto key_in_run = [&](const Bytes& prefix, std::uint64_t number) {
    return make([&](Writer& out) {
      out.bytes(prefix);
      put_ordered(out, number, 8);
      put_ordered(out, checkpoint.commit, 8);
      out.uuid(checkpoint.id);
    });
  };
  for (const auto& metric : checkpoint.metrics) {
    if (std::isnan(metric.second) || metric.first.size() > longest_metric) continue;
    const std::uint64_t number = ordered_number(metric.second);
    Bytes key = make([&](Writer& out) {
      out.bytes(row_key::metric(metric.first));
      put_ordered(out, number, 8);
      out.uuid(checkpoint.run);
      put_ordered(out, checkpoint.commit, 8);
      out.uuid(checkpoint.id);
    });
    rows.push_back({Table::metric_values, std::move(key), payload});
    rows.push_back({Table::run_metrics,
                    key_in_run(row_key::run_metric(checkpoint.run, metric.first), number),
                    payload});
  }
  rows.push_back({Table::run_metrics,
                  key_in_run(row_key::run_attempts(checkpoint.run), checkpoint.attempt),
                  make([&](Writer& out) {
                    put_search_payload(out, checkpoint);
                    out.u64(checkpoint.file_size);
                    out.u64(static_cast<std::uint64_t>(checkpoint.created_ns));
                  })});
  return rows;
}

namespace {

void read_search_payload(BytesView payload, MetricEntry& entry) {
  Reader in(payload, "index row of a metric");
  entry.attempt = in.u32();
  const std::uint8_t flags = in.u8();
  in.expect_end();
  entry.resumable = (flags & resumable_flag) != 0;
  entry.salvaged = (flags & salvaged_flag) != 0;
}

}  // namespace

MetricEntry decode_metric_value(BytesView key, BytesView payload) {
  MetricEntry entry;
  Reader in(key, "index key of a metric");
  in.skip(take_ordered(in, 2));
  entry.value = number_in_order(take_ordered(in, 8));
  entry.run = in.uuid();
  entry.commit = take_ordered(in, 8);
  entry.checkpoint = in.uuid();
  in.expect_end();
  read_search_payload(payload, entry);
  return entry;
}

MetricEntry decode_run_metric(BytesView key, BytesView payload) {
  MetricEntry entry;
  Reader in(key, "index key of a run's metric");
  entry.run = in.uuid();
  in.skip(take_ordered(in, 2));
  entry.value = number_in_order(take_ordered(in, 8));
  entry.commit = take_ordered(in, 8);
  entry.checkpoint = in.uuid();
  in.expect_end();
  read_search_payload(payload, entry);
  return entry;
}

std::uint32_t attempt_of_key(BytesView key) {
  Reader in(key, "index key of an attempt's checkpoint");
  in.skip(uuid_size + 2);
  return static_cast<std::uint32_t>(take_ordered(in, 8));
}

SaveEntry decode_save(BytesView key, BytesView payload) {
  SaveEntry entry;
  Reader at(key, "index key of an attempt's checkpoint");
  at.skip(uuid_size + 2);
  entry.attempt = static_cast<std::uint32_t>(take_ordered(at, 8));
  entry.commit = take_ordered(at, 8);
  entry.checkpoint = at.uuid();
  at.expect_end();
  Reader in(payload, "index row of an attempt's checkpoint");
  in.skip(5);  // what a search skips by
  entry.file_size = in.u64();
  entry.created_ns = static_cast<std::int64_t>(in.u64());
  in.expect_end();
  return entry;
}

std::uint64_t check_row(Table table, BytesView key, BytesView value) {
  const auto fail = [&](const std::string& what) {
    throw Error(ErrorCode::corrupt,
                fmt::format("index: table {}, row {}: {}", to_string(table), hex(key), what));
  };
  if (value.size() < checksum_size) {
    fail(fmt::format("{} bytes, expected at least {}", value.size(), checksum_size));
  }
  Reader in(value.last(checksum_size), "index row checksum");
  const std::uint64_t stored = in.u64();
  const std::uint64_t expected = row_checksum(table, key, payload_of(value));
  if (stored != expected) {
    fail(fmt::format("stored checksum {:016x}, expected {:016x}", stored, expected));
  }
  return stored;
}

std::optional<BytesView> RowReader::get(Table table, BytesView key) {
  const auto value = tables_.get(table, key);
  if (!value) {
    check_before(table, key);
    check_from(table, key);
    return std::nullopt;
  }
  check_row(table, key, *value);
  return payload_of(*value);
}

// The last row before a place.
void RowReader::check_before(Table table, BytesView key) {
  if (key.empty()) return;
  tables_.scan_back(table, key, [&](BytesView found, BytesView value) {
    check_row(table, found, value);
    return false;
  });
}

// The first row from a place on.
void RowReader::check_from(Table table, BytesView key) {
  tables_.scan(table, key, [&](BytesView found, BytesView value) {
    check_row(table, found, value);
    return false;
  });
}

void RowReader::scan_prefix(Table table, BytesView prefix, const Visit& visit) {
  check_before(table, prefix);
  tables_.scan(table, prefix, [&](BytesView key, BytesView value) {
    check_row(table, key, value);  // also of the first row that is none of them
    const bool inside =
        key.size() >= prefix.size() && std::ranges::equal(key.first(prefix.size()), prefix);
    return inside && visit(key, payload_of(value));
  });
}

void RowReader::scan_range(Table table, BytesView prefix, std::uint64_t first, std::uint64_t last,
                           bool back, const Visit& visit) {
  const auto limit = [&](std::uint64_t number) {
    return make([&](Writer& out) {
      out.bytes(prefix);
      put_ordered(out, number, 8);
    });
  };
  const Bytes low = limit(first), high = limit(last + 1);
  const auto take = [&](BytesView key, BytesView value) {
    check_row(table, key, value);
    const bool inside = back ? !std::ranges::lexicographical_compare(key, low)
                             : std::ranges::lexicographical_compare(key, high);
    return inside && visit(key, payload_of(value));
  };
  if (back) {
    check_from(table, high);
    tables_.scan_back(table, high, take);
  } else {
    check_before(table, low);
    tables_.scan(table, low, take);
  }
}

TableSums read_sums(RowReader& rows, Table table) {
  const auto payload = rows.get(Table::meta, row_key::sums(table));
  if (!payload) return {};
  Reader in(*payload, "index row of a table's sums");
  TableSums sums;
  sums.count = in.u64();
  sums.sum = in.u64();
  in.expect_end();
  return sums;
}

TableSums& RowWriter::sums(Table table) {
  auto& sums = sums_[static_cast<std::size_t>(table)];
  if (!sums) sums = read_sums(*this, table);
  return *sums;
}

void RowWriter::put(Table table, BytesView key, BytesView payload) {
  Writer value;
  value.bytes(payload);
  const std::uint64_t checksum = row_checksum(table, key, payload);
  value.u64(checksum);
  if (table != Table::meta) {
    TableSums& of_table = sums(table);
    if (const auto old = tables_.get(table, key)) of_table.remove(check_row(table, key, *old));
    of_table.add(checksum);
  }
  tables_.put(table, key, value.buffer());
}

bool RowWriter::erase(Table table, BytesView key) {
  const auto old = tables_.get(table, key);
  if (!old) return false;
  if (table != Table::meta) sums(table).remove(check_row(table, key, *old));
  return tables_.erase(table, key);
}

void RowWriter::finish() {
  for (std::size_t i = 0; i < table_count; ++i) {
    if (!sums_[i]) continue;
    const Bytes key = row_key::sums(static_cast<Table>(i));
    if (*sums_[i] == TableSums{}) {  // as if the table had never had a row
      erase(Table::meta, key);
      continue;
    }
    Writer out;
    out.u64(sums_[i]->count);
    out.u64(sums_[i]->sum);
    put(Table::meta, key, out.buffer());
  }
}

}  // namespace ckp
