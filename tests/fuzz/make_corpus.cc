// Writes the seeds of the fuzz targets with the real encoders, or checks that those that are there
// are still what these would write:
//
//   ckp_make_corpus write|check tests/fuzz/corpus
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>

#include "ckp/format/codec.h"
#include "ckp/format/journal_record.h"
#include "ckp/format/patch.h"
#include "ckp/format/store_identity.h"
#include "ckp/format/wire.h"
#include "convert/safetensors_header.h"
#include "engine/index_samples.h"
#include "fuzz/bytes.h"
#include "golden/build.h"
#include "index/rows.h"
#include "runs/record_codec.h"

namespace ckp {
namespace {

using golden::uuid_ending_in;
using std::literals::operator""sv;
using Files = std::map<std::string, Bytes>;  // "target/seed-name"

Bytes bytes_of(std::string_view text) {
  const auto bytes = format::as_bytes(text);
  return {bytes.begin(), bytes.end()};
}

Bytes numbers(std::size_t count, unsigned step) {
  Bytes bytes(count);
  for (std::size_t i = 0; i < count; ++i) bytes[i] = static_cast<std::byte>(i * step % 251);
  return bytes;
}

// Floats of one magnitude: `planes` takes them.
Bytes weights(std::size_t count) {
  Bytes bytes;
  std::uint32_t noise = 1;
  for (std::size_t i = 0; i < count; ++i) {
    noise = noise * 1664525u + 1013904223u;
    for (const std::uint32_t byte : {noise >> 24, noise >> 16, 0x80u, 0x3cu}) {
      bytes.push_back(static_cast<std::byte>(byte & 0xff));
    }
  }
  return bytes;
}

CheckpointRecord sample_checkpoint() {
  auto checkpoint = test::sample_checkpoint(test::sample_run(1, "cnn"), 2, 3);
  checkpoint.continued_from = uuid_ending_in(7);
  checkpoint.tags = {{"gold", true}, {"list", Value::List{1, 2.5, nullptr, "x"}}};
  checkpoint.journal = JournalMark{uuid_ending_in(8), 128, Digest{1, 2}};
  checkpoint.writer = "ckpstore 0.1.0";
  return checkpoint;
}

RunRecord sample_run() {
  RunRecord run = test::sample_run(1, "cnn");
  run.experiment = "small";
  run.tags = {{"who", "me"}};
  run.environment = {{"gpu", "none"}};
  run.best_metric = "val/loss";
  run.status = RunStatus::completed;
  run.attempts.push_back({2, uuid_ending_in(7), 9, 43, "host", 1, 3});
  return run;
}

// Every codec, a shared chunk, views, a shard, values; `names` tensors more.
Bytes full_pack(std::uint8_t alignment_log2, int names) {
  using format::Compression;
  golden::Builder pack({.alignment_log2 = alignment_log2, .uuid = uuid_ending_in(0xaa)});
  const auto planes = pack.storage(weights(300), 4);
  const auto constant = pack.storage(Bytes(1000, std::byte{0}), 4);
  const auto raw = pack.storage(numbers(96, 7), 4, Compression::none);
  const auto shared = pack.chunk(numbers(64, 3), 8, Compression::none);
  const auto first = pack.storage_of({{shared, 0, 16}}),
             second = pack.storage_of({{shared, 16, 48}});
  pack.tensor("model/a", DType::float32, planes, {10, 30});
  pack.tensor("model/b", DType::float32, constant, {250});
  auto& shard = pack.tensor("model/c", DType::float32, raw, {2, 3});
  shard.strides = {12, 4};
  shard.storage_offset = 1;
  shard.global_shape = {4, 3};
  shard.global_offset = {2, 0};
  pack.tensor("optimizer/step", DType::int64, first, {});
  for (int i = 0; i < names; ++i) {
    pack.tensor("z/" + std::string(1, static_cast<char>('a' + i % 26)) + std::to_string(1000 + i),
                DType::float16, second, {24});
  }
  std::ranges::sort(pack.manifest.tensors, {}, &format::TensorEntry::name);
  pack.manifest.checkpoint = manifest_facts(sample_checkpoint());
  pack.manifest.values = {{"progress", Value::Map{{"epoch", 3}, {"lr", 0.5}}}};
  return pack.finish();
}

Bytes empty_pack() {
  golden::Builder pack({.uuid = uuid_ending_in(0xab)});
  return pack.finish();
}

// The raw bytes of the first manifest.
Bytes manifest_of(const Bytes& file) {
  class Source : public format::ByteSource {
   public:
    explicit Source(const Bytes& bytes) : bytes_(bytes) {}
    std::uint64_t size() const override { return bytes_.size(); }
    void read(std::uint64_t offset, std::span<std::byte> out) const override {
      std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(offset), out.size(), out.begin());
    }
    std::string name() const override { return "seed"; }

   private:
    const Bytes& bytes_;
  } const source(file);
  return format::encode_manifest(format::read_manifest(source, format::read_directory(source)));
}

void add_packs(Files& files) {
  for (const std::string target : {"pack", "checkpoint"}) {
    files[target + "/seed-full"] = full_pack(6, 2);
    files[target + "/seed-empty"] = empty_pack();
    files[target + "/seed-patched"] = golden::patched_pack();
    files[target + "/seed-differences"] = golden::differences_pack();
    files[target + "/seed-derived"] = golden::derived_pack();
  }
  files["pack/seed-aligned"] = full_pack(9, 0);
  files["checkpoint/seed-compressed-manifest"] = full_pack(6, 60);
  files["manifest/seed-full"] = manifest_of(full_pack(6, 2));
  files["manifest/seed-empty"] = manifest_of(empty_pack());
  files["manifest/seed-patched"] = manifest_of(golden::patched_pack());
  files["manifest/seed-differences"] = manifest_of(golden::differences_pack());
  files["manifest/seed-derived"] = manifest_of(golden::derived_pack());
}

// The number of bytes that are patched, and the chunk.
void add_patches(Files& files) {
  const auto add = [&](const std::string& name, std::size_t length, std::uint32_t row_size,
                       const std::vector<std::uint32_t>& rows) {
    const Bytes patched = numbers(length, 5);
    Bytes raw;
    const auto row_bytes = [&](std::uint32_t row) {
      const std::size_t begin = std::size_t{row} * row_size;
      return std::span(patched).subspan(begin, std::min<std::size_t>(row_size, length - begin));
    };
    format::encode_patch(row_size, rows, row_bytes, raw);
    Bytes bytes(8);
    fuzz::put_number(bytes, 0, 8, length);
    bytes.insert(bytes.end(), raw.begin(), raw.end());
    files["patch/seed-" + name] = bytes;
  };
  add("rows", 1000, 16, {0, 1, 7, 40, 62});  // the last one is cut
  add("one-byte", 1, 256, {0});
  add("far", 300, 1, {299});
}

void add_chunk_header(Files& files) {
  const format::RecordPlace place{uuid_ending_in(0xaa), 128, 3};
  Bytes bytes(place.pack.bytes.begin(), place.pack.bytes.end());
  bytes.resize(28);
  fuzz::put_number(bytes, 16, 8, place.offset);
  fuzz::put_number(bytes, 24, 4, place.generation);
  bytes.resize(32);
  format::RecordHeader header;
  header.codec = format::Codec::planes;
  header.number = 5;
  header.raw_size = 1000;
  header.stored_size = 800;
  header.raw_digest = {1, 2};
  header.stored_checksum = 3;
  const auto encoded = format::encode_record_header(header, place);
  bytes.insert(bytes.end(), encoded.begin(), encoded.end());
  files["chunk_header/seed-planes"] = bytes;
}

void add_values(Files& files) {
  const Value value = Value::Map{{"null", nullptr},
                                 {"yes", true},
                                 {"integers", Value::List{0, 23, 24, -1, -25, 1 << 20}},
                                 {"double", -0.0},
                                 {"text", "h\u00e9"},
                                 {"bytes", numbers(30, 1)},
                                 {"map", Value::Map{{"", Value::List{}}}}};
  files["value/seed-all-kinds"] = to_cbor(value);
  // A tag, a half and a single float, a long form.
  files["value/seed-foreign"] =
      bytes_of("\x84\xc1\x00\xf9\x3e\x00\xfa\x3f\x80\x00\x01\x19\x00\x05"sv);
}

void add_journal(Files& files) {
  using format::JournalKind;
  const RunRecord run = sample_run();
  const format::JournalHeader header{{}, {}, run.id, uuid_ending_in(8)};
  Bytes file = format::encode_journal_header(header);
  std::uint64_t sequence = 0;
  const auto append = [&](JournalKind kind, Value payload) {
    const auto record = format::encode_journal_record({kind, sequence++, 2, std::move(payload)},
                                                      header, file.size());
    file.insert(file.end(), record.begin(), record.end());
  };
  append(JournalKind::run_created, run_created_payload(run));
  for (const Attempt& attempt : run.attempts) {
    append(JournalKind::attempt_opened, attempt_payload(attempt));
  }
  append(JournalKind::metrics,
         Value::Map{{"epoch", 1}, {"step", 2}, {"values", Value::Map{{"loss", 0.5}}}});
  append(JournalKind::status, status_payload(RunStatus::completed));
  files["journal/seed-run"] = file;
  // Found by fuzzing: facts about a checkpoint that is not named.
  append(JournalKind::attempt_opened, Value::Map{{"number", 3}, {"continued_attempt", 1}});
  files["journal/seed-continued-from-nothing"] = file;
}

void add_store(Files& files) {
  files["store/seed-identity"] =
      format::encode_store_identity({{}, {}, uuid_ending_in(1), 1'700'000'000'000'000'000});
  format::StateBlock block;
  block.store = uuid_ending_in(1);
  block.boot = uuid_ending_in(2);
  block.begin = 5;
  block.end = 4;
  block.run_directory = "cnn-000102030405060708090a0b0c0d0eaa";
  block.stamp = {1, 2, 4096, 99, 7};
  block.holder_pid = 4711;
  block.holder_host = "host";
  files["store/seed-state-block"] = format::encode_state_block(block);
}

void add_index_rows(Files& files) {
  const auto add = [&](const std::string& name, Table table, const Bytes& key,
                       const Bytes& payload) {
    Bytes bytes{static_cast<std::byte>(table), static_cast<std::byte>(key.size())};
    bytes.insert(bytes.end(), key.begin(), key.end());
    bytes.insert(bytes.end(), payload.begin(), payload.end());
    files["index_row/seed-" + name] = bytes;
  };
  const RunRecord run = sample_run();
  const CheckpointRecord checkpoint = sample_checkpoint();
  const ChunkRow chunk = test::sample_chunk(1, 2, 3);
  add("store", Table::meta, row_key::store(), encode(StoreRow{index_schema, run.id}));
  add("run", Table::runs, row_key::run(run.id), encode(run));
  add("run-name", Table::run_names, row_key::run_name(run.name, run.id), {});
  add("checkpoint", Table::checkpoints, row_key::run_checkpoints(run.id), encode(checkpoint));
  add("checkpoint-id", Table::checkpoint_ids, row_key::checkpoint_id(checkpoint.id),
      encode(CheckpointPlace{run.id, 3}));
  add("chunk", Table::chunks, row_key::chunk(chunk.raw_digest, chunk.address), encode(chunk));
  add("pack-chunk", Table::pack_chunks, row_key::pack_chunk(chunk.address),
      encode_content_id(chunk.raw_digest));
  std::size_t number = 0;
  for (const SearchRow& row : search_rows(checkpoint)) {
    add("search-" + std::to_string(++number), row.table, row.key, row.payload);
  }
}

// LMDB's own bytes: another version of it may write others, so `check` leaves them alone.
constexpr std::string_view lmdb_seeds = "index_file/";

void add_index_file(Files& files) {
  const test::IndexFiles place;
  {
    const auto index = place.open();
    for (std::uint64_t round = 0; round < 2; ++round) {
      index->update([&](IndexUpdate& update) {
        const RunRecord run = test::sample_run(round, "run " + std::to_string(round));
        update.put_run(run);
        for (std::uint64_t i = 0; i < 3; ++i) {
          auto checkpoint = test::sample_checkpoint(run, 10 * round + i, 10 * round + i);
          if (i + round == 3) checkpoint.tags["notes"] = std::string(5000, 'n');
          update.put_checkpoint(checkpoint);
        }
        std::vector<ChunkRow> rows;
        for (std::uint32_t n = 0; n < 20; ++n) rows.push_back(test::sample_chunk(n, round, n));
        update.put_chunks(rows);
      });
    }
  }
  std::ifstream in(place.data(), std::ios::binary);
  files[std::string(lmdb_seeds) + "seed-small"] =
      bytes_of(std::string(std::istreambuf_iterator<char>(in), {}));
}

void add_safetensors(Files& files) {
  safetensors::Header header;
  header.metadata.emplace()["format"] = "pt";
  header.tensors = {{.name = "a", .dtype = DType::float32, .shape = {2, 3}},
                    {.name = "b\"", .dtype = DType::boolean, .shape = {5}},
                    {.name = "none", .dtype = DType::bfloat16, .shape = {0, 4}}};
  safetensors::lay_out(header.tensors);
  const std::string text = safetensors::encode_header(header);
  Bytes bytes(8);
  std::uint64_t data = 0;
  for (const auto& tensor : header.tensors) data = std::max(data, tensor.end);
  fuzz::put_number(bytes, 0, 8, text.size() + data);
  const Bytes encoded = bytes_of(text);
  bytes.insert(bytes.end(), encoded.begin(), encoded.end());
  files["safetensors/seed-three"] = bytes;
}

void add_codecs(Files& files) {
  const auto add = [&](const std::string& name, format::Codec codec, unsigned log2,
                       std::size_t raw_size, const Bytes& stored) {
    Bytes bytes(5);
    bytes[0] = static_cast<std::byte>(codec);
    bytes[1] = static_cast<std::byte>(log2);
    fuzz::put_number(bytes, 2, 3, raw_size);
    bytes.insert(bytes.end(), stored.begin(), stored.end());
    files["codec/seed-" + name] = bytes;
  };
  add("raw", format::Codec::raw, 0, 10, numbers(10, 1));
  add("constant", format::Codec::constant, 0, 1000, {std::byte{7}});
  for (const unsigned log2 : {0u, 1u, 2u, 3u}) {
    const Bytes raw = weights(300);
    const auto stored = format::encode_planes(raw, std::size_t{1} << log2);
    if (stored)
      add("planes-" + std::to_string(1 << log2), format::Codec::planes, log2, raw.size(), *stored);
  }
  std::string text;
  for (int i = 0; i < 60; ++i) text += "layer." + std::to_string(i % 5) + ".weight\n";
  if (const auto stored = format::encode_planes(bytes_of(text), 1)) {
    add("planes-text", format::Codec::planes, 0, text.size(), *stored);
  }
}

Files make() {
  Files files;
  add_packs(files);
  add_patches(files);
  add_chunk_header(files);
  add_values(files);
  add_journal(files);
  add_store(files);
  add_index_rows(files);
  add_index_file(files);
  add_safetensors(files);
  add_codecs(files);
  return files;
}

Bytes read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return bytes_of(std::string(std::istreambuf_iterator<char>(in), {}));
}

void write_file(const std::filesystem::path& path, const Bytes& bytes) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(reinterpret_cast<const char*>(bytes.data()),
            static_cast<std::streamsize>(bytes.size()));
}

int check(const Files& files, const std::filesystem::path& corpus) {
  int differing = 0;
  for (const auto& [name, bytes] : files) {
    if (name.starts_with(lmdb_seeds) || read_file(corpus / name) == bytes) continue;
    std::fprintf(stderr, "%s: the encoder writes something else now; run: ckp_make_corpus write\n",
                 name.c_str());
    ++differing;
  }
  return differing == 0 ? 0 : 1;
}

}  // namespace
}  // namespace ckp

int main(int argc, char** argv) {
  const std::string command = argc == 3 ? argv[1] : "";
  if (command != "write" && command != "check") return 2;
  const ckp::Files files = ckp::make();
  if (command == "check") return ckp::check(files, argv[2]);
  for (const auto& [name, bytes] : files) {
    ckp::write_file(std::filesystem::path(argv[2]) / name, bytes);
  }
  return 0;
}
