#include "build.h"
#include "ckp/format/journal_record.h"
#include "ckp/format/store_identity.h"
#include "ckp/format/wire.h"
#include "golden_files.h"

namespace ckp::golden {
namespace {

using format::Compression;

Value bytes_value(const Uuid& uuid) { return Value::Bytes(uuid.bytes.begin(), uuid.bytes.end()); }

// Raw and constant chunks alone: spec/format.md shows its bytes.
Bytes minimal() {
  Builder pack({.uuid = uuid_ending_in(0xaa)});
  const auto bias = pack.storage(Bytes(8), 4);
  const auto weight = pack.storage(
      elements<std::uint32_t>({0x3f800000, 0xc0000000, 0x3f000000, 0x7fc00001, 0x80000000, 1}), 4,
      Compression::none);
  pack.tensor("model/bias", DType::float32, bias, {2});
  pack.tensor("model/weight", DType::float32, weight, {2, 3}).flags =
      format::tensor_flag::requires_grad;
  pack.manifest.checkpoint["epoch"] = 1;
  pack.manifest.checkpoint["step"] = 100;
  pack.manifest.values["lr"] = 0.5;
  return pack.finish();
}

// Every dtype, in one chunk that they share: element bytes count up from the dtype's number.
void add_dtypes(Builder& pack) {
  Bytes shared;
  struct Part {
    DType dtype;
    std::uint32_t offset;
    std::uint32_t size;
  };
  std::vector<Part> parts;
  for (std::uint16_t number = 1; const auto dtype = dtype_from_number(number); ++number) {
    const std::size_t size = 4 * size_of(*dtype);
    shared.resize(format::align_up(shared.size(), 8));
    parts.push_back(
        {*dtype, static_cast<std::uint32_t>(shared.size()), static_cast<std::uint32_t>(size)});
    for (std::size_t i = 0; i < size; ++i) {
      shared.push_back(static_cast<std::byte>(*dtype == DType::boolean ? i % 2 : number + 29 * i));
    }
  }
  const auto reference = pack.chunk(shared, 1, Compression::none);
  for (const Part& part : parts) {
    const auto storage = pack.storage_of({{reference, part.offset, part.size}});
    pack.tensor("dtype/" + std::string(to_string(part.dtype)), part.dtype, storage, {4});
  }
}

void add_codecs(Builder& pack) {
  pack.tensor("codec/constant", DType::float32, pack.storage(Bytes(4000), 4), {1000});
  // Float-like: noise below, few exponents above.
  Bytes floats;
  std::uint32_t state = 1;
  for (int i = 0; i < 2048; ++i) {
    state = state * 1664525u + 1013904223u;
    const std::uint32_t exponent = 118 + ((state >> 28) * (state >> 28)) / 32;
    const Bytes one = elements<std::uint32_t>({(state & 0x807fffffu) | (exponent << 23)});
    floats.insert(floats.end(), one.begin(), one.end());
  }
  pack.tensor("codec/planes", DType::float32, pack.storage(floats, 4), {2, 1024});
  Bytes counting;
  for (int i = 0; i < 256; ++i) counting.push_back(static_cast<std::byte>(i));
  pack.tensor("codec/raw", DType::uint8, pack.storage(counting, 1), {16, 16});
}

void add_special(Builder& pack) {
  pack.tensor("special/scalar", DType::float64,
              pack.storage(elements<std::uint64_t>({0x8000000000000000}), 8), {});
  pack.tensor("special/empty", DType::int64, pack.storage_of({}), {0, 3});
  pack.tensor("special/nan32", DType::float32,
              pack.storage(elements<std::uint32_t>({0x7fa00001, 0xffc12345, 0x7f800000, 1}), 4),
              {4});
  pack.tensor("special/nan16", DType::bfloat16,
              pack.storage(elements<std::uint16_t>({0x7f81, 0xffc1, 0x8000, 1}), 2), {4});
}

void add_views(Builder& pack) {
  const auto whole = pack.storage(elements<std::uint32_t>({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}),
                                  4, Compression::none);
  pack.tensor("view/matrix", DType::int32, whole, {3, 4});
  auto& transposed = pack.tensor("view/transposed", DType::int32, whole, {4, 2});
  transposed.strides = {1, 4};
  transposed.storage_offset = 4;
  const auto first = pack.chunk(elements<std::uint16_t>({1, 2, 3}), 2, Compression::none);
  const auto second = pack.chunk(elements<std::uint16_t>({4, 5, 6}), 2, Compression::none);
  const auto joined = pack.storage_of({{first, 0, 6}, {second, 2, 4}});
  auto& shard = pack.tensor("view/shard", DType::int16, joined, {5});
  shard.global_shape = {10};
  shard.global_offset = {5};
}

Bytes complete() {
  Builder pack({.uuid = uuid_ending_in(0xbb)});
  add_dtypes(pack);
  add_codecs(pack);
  add_special(pack);
  add_views(pack);
  pack.manifest.checkpoint = {
      {"run_id", bytes_value(uuid_ending_in(0x01))},
      {"run_name", "golden"},
      {"attempt", 1},
      {"continued_from", nullptr},
      {"epoch", 2},
      {"step", 200},
      {"metrics", Value::Map{{"val/loss", 0.25}}},
      {"nonfinite", true},
      {"final", false},
      {"created_ns", std::int64_t{1700000000000000000}},
      {"tags", Value::Map{{"team", "ranking"}}},
      {"journal", Value::Map{{"id", bytes_value(uuid_ending_in(0x02))},
                             {"length", 128},
                             {"digest", Value::Bytes(16)}}},
      {"writer", "ckpstore golden"},
      {"a key of a later version", 1},
  };
  pack.manifest.values["list"] = Value::List{1, -1, 0.5, true, "text", nullptr};
  return pack.finish();
}

Bytes references() {
  Builder pack(
      {.may_use = {0, 0, format::feature::external_references}, .uuid = uuid_ending_in(0xcc)});
  const Bytes raw(8);
  pack.manifest.references.push_back(
      {{uuid_ending_in(0xaa), 0}, digest_of(raw), 8});  // the bias of minimal.ckp
  pack.tensor("model/bias", DType::float32, pack.storage_of({{0, 0, 8}}), {2});
  return pack.finish();
}

Bytes journal() {
  format::JournalHeader header;
  header.run = uuid_ending_in(0x01);
  header.journal = uuid_ending_in(0x02);
  Bytes file = format::encode_journal_header(header);
  const auto add = [&](format::JournalKind kind, std::uint64_t sequence, Value payload) {
    const auto record = format::encode_journal_record(
        {.kind = kind, .sequence = sequence, .commit = 7, .payload = std::move(payload)}, header,
        file.size());
    file.insert(file.end(), record.begin(), record.end());
  };
  add(format::JournalKind::run_created, 0, Value::Map{{"name", "golden"}});
  add(format::JournalKind::metrics, 1, Value::Map{{"val/loss", 0.25}});
  add(static_cast<format::JournalKind>(999), 2, Value::Map{});  // a kind of a later version
  return file;
}

Bytes store_identity() {
  format::StoreIdentity store;
  store.uuid = uuid_ending_in(0x03);
  store.created_ns = 1700000000000000000;
  return format::encode_store_identity(store);
}

Bytes state_block() {
  format::StateBlock block;
  block.store = uuid_ending_in(0x03);
  block.boot = uuid_ending_in(0x04);
  block.begin = 8;
  block.end = 7;
  block.run_directory = "golden-00010203";
  block.stamp = {1, 2, 3, 4, 5};
  block.holder_pid = 4711;
  block.holder_host = "host";
  return format::encode_state_block(block);
}

}  // namespace

std::vector<File> good_files() {
  return {{"minimal.ckp", minimal()},       {"complete.ckp", complete(), false},
          {"references.ckp", references()}, {"journal", journal()},
          {"STORE", store_identity()},      {"state-block", state_block()},
          {"patched.ckp", patched_pack()},  {"differences.ckp", differences_pack()},
          {"derived.ckp", derived_pack()}};
}

}  // namespace ckp::golden
