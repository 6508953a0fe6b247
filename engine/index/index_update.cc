#include "index/index_update.h"

#include <fmt/format.h>

#include "ckp/error.h"

namespace ckp {
namespace {

constexpr std::size_t longest_name = 400;  // LMDB's keys have at most 511 bytes

// The rows below a prefix, copied: they are about to change.
std::vector<std::pair<Bytes, Bytes>> collect(RowWriter& rows, Table table, BytesView prefix) {
  std::vector<std::pair<Bytes, Bytes>> result;
  rows.scan_prefix(table, prefix, [&](BytesView key, BytesView payload) {
    result.emplace_back(Bytes(key.begin(), key.end()), Bytes(payload.begin(), payload.end()));
    return true;
  });
  return result;
}

}  // namespace

void RowUpdate::put_run(const RunRecord& run) {
  if (run.name.size() > longest_name) {
    throw Error(ErrorCode::invalid_argument,
                fmt::format("run {}: its name has {} bytes, the index takes at most {}",
                            run.id.hex(), run.name.size(), longest_name));
  }
  erase_name_of(run.id);
  rows_.put(Table::run_names, row_key::run_name(run.name, run.id), {});
  rows_.put(Table::runs, row_key::run(run.id), encode(run));
}

void RowUpdate::erase_name_of(const Uuid& run) {
  const auto payload = rows_.get(Table::runs, row_key::run(run));
  if (payload) rows_.erase(Table::run_names, row_key::run_name(decode_run(*payload).name, run));
}

void RowUpdate::erase_run(const Uuid& run) {
  erase_name_of(run);
  rows_.erase(Table::runs, row_key::run(run));
  for (const auto& [key, payload] :
       collect(rows_, Table::checkpoints, row_key::run_checkpoints(run))) {
    const CheckpointRecord checkpoint = decode_checkpoint(payload);
    erase_search_rows(checkpoint);
    rows_.erase(Table::checkpoint_ids, row_key::checkpoint_id(checkpoint.id));
    rows_.erase(Table::checkpoints, key);
  }
}

void RowUpdate::put_checkpoint(const CheckpointRecord& checkpoint) {
  erase_checkpoint(checkpoint.id);  // it may have stood at another commit
  rows_.put(Table::checkpoint_ids, row_key::checkpoint_id(checkpoint.id),
            encode(CheckpointPlace{checkpoint.run, checkpoint.commit}));
  rows_.put(Table::checkpoints,
            row_key::checkpoint(checkpoint.run, checkpoint.commit, checkpoint.id),
            encode(checkpoint));
  for (const SearchRow& row : search_rows(checkpoint)) rows_.put(row.table, row.key, row.payload);
}

void RowUpdate::erase_checkpoint(const Uuid& checkpoint) {
  const Bytes id_key = row_key::checkpoint_id(checkpoint);
  const auto payload = rows_.get(Table::checkpoint_ids, id_key);
  if (!payload) return;
  const CheckpointPlace place = decode_checkpoint_place(*payload);
  const Bytes key = row_key::checkpoint(place.run, place.commit, checkpoint);
  if (const auto record = rows_.get(Table::checkpoints, key)) {
    erase_search_rows(decode_checkpoint(*record));
  }
  rows_.erase(Table::checkpoints, key);
  rows_.erase(Table::checkpoint_ids, id_key);
}

void RowUpdate::erase_search_rows(const CheckpointRecord& checkpoint) {
  for (const SearchRow& row : search_rows(checkpoint)) rows_.erase(row.table, row.key);
}

void RowUpdate::put_chunks(std::span<const ChunkRow> chunks) {
  for (const ChunkRow& chunk : chunks) {
    const Digest id = content_id(chunk.raw_digest);
    // The same place with other content: forget the old look-up key.
    const Bytes pack_key = row_key::pack_chunk(chunk.address);
    if (const auto old = rows_.get(Table::pack_chunks, pack_key)) {
      rows_.erase(Table::chunks, row_key::chunk(decode_content_id(*old), chunk.address));
    }
    rows_.put(Table::pack_chunks, pack_key, encode_content_id(id));
    rows_.put(Table::chunks, row_key::chunk(id, chunk.address), encode(chunk));
  }
}

void RowUpdate::erase_chunks(std::span<const Uuid> packs) {
  for (const Uuid& pack : packs) {
    for (const auto& [key, payload] : collect(rows_, Table::pack_chunks, row_key::pack(pack))) {
      const format::ChunkAddress address{pack, chunk_number_of(key)};
      rows_.erase(Table::chunks, row_key::chunk(decode_content_id(payload), address));
      rows_.erase(Table::pack_chunks, key);
    }
  }
}

}  // namespace ckp
