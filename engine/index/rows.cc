#include "index/rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

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
  Writer covered;
  covered.u8(static_cast<std::uint8_t>(table));
  covered.u32(static_cast<std::uint32_t>(key.size()));
  covered.bytes(key);
  covered.bytes(payload);
  return checksum_of(covered.buffer());
}

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

Uuid run_of_name_key(BytesView key) {
  Reader in(key, "index key of a run's name");
  in.skip(key.size() < uuid_size ? key.size() + 1 : key.size() - uuid_size);
  return in.uuid();
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
  if (!value) return std::nullopt;
  check_row(table, key, *value);
  return payload_of(*value);
}

void RowReader::scan_prefix(Table table, BytesView prefix, const Visit& visit) {
  tables_.scan(table, prefix, [&](BytesView key, BytesView value) {
    if (key.size() < prefix.size() || !std::ranges::equal(key.first(prefix.size()), prefix)) {
      return false;
    }
    check_row(table, key, value);
    return visit(key, payload_of(value));
  });
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
