// Rows of the index: a table's number, the key's length and the key, then the payload.
#include "fuzz/target.h"
#include "index/rows.h"

namespace ckp::fuzz {
namespace {

void read_chunk_row(BytesView key, BytesView payload) {
  const auto row = refused_or([&] { return decode_chunk(key, payload); });
  if (!row) return;
  const auto again = decode_chunk(row_key::chunk(row->raw_digest, row->address), encode(*row));
  require(again.address == row->address && again.raw_digest == row->raw_digest &&
              again.raw_size == row->raw_size,
          "a chunk's row survives being written again");
}

void read_payload(Table table, BytesView key, BytesView payload) {
  switch (table) {
    case Table::meta:
      refused_or([&] { return decode_store_row(payload); });
      return;
    case Table::runs:
      if (const auto run = refused_or([&] { return decode_run(payload); })) {
        require(decode_run(encode(*run)) == *run, "a run's row survives being written again");
      }
      return;
    case Table::run_names:
      refused_or([&] { return run_of_name_key(key); });
      return;
    case Table::checkpoints:
      if (const auto checkpoint = refused_or([&] { return decode_checkpoint(payload); })) {
        require(decode_checkpoint(encode(*checkpoint)) == *checkpoint,
                "a checkpoint's row survives being written again");
      }
      return;
    case Table::checkpoint_ids:
      if (const auto place = refused_or([&] { return decode_checkpoint_place(payload); })) {
        require(decode_checkpoint_place(encode(*place)) == *place,
                "a checkpoint's place survives being written again");
      }
      return;
    case Table::chunks:
      read_chunk_row(key, payload);
      return;
    case Table::pack_chunks:
      refused_or([&] { return chunk_number_of(key); });
      if (const auto id = refused_or([&] { return decode_content_id(payload); })) {
        require(decode_content_id(encode_content_id(*id)) == *id,
                "a content id survives being written again");
      }
      return;
    case Table::metric_values:
      refused_or([&] { return decode_metric_value(key, payload); });
      return;
    case Table::run_metrics:
      refused_or([&] { return decode_run_metric(key, payload); });
      refused_or([&] { return attempt_of_key(key); });
      refused_or([&] { return decode_save(key, payload); });
      return;
  }
}

void fuzz_one(BytesView bytes) {
  const auto table = static_cast<Table>(take_byte(bytes) % table_count);
  const BytesView key = take(bytes, take_byte(bytes));
  refused_or([&] { return check_row(table, key, bytes); });
  read_payload(table, key, bytes);
}

}  // namespace
}  // namespace ckp::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ckp::fuzz::fuzz_one(std::as_bytes(std::span(data, size)));
  return 0;
}
