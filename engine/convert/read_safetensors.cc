// safetensors -> .ckp, a batch of tensors in memory at a time.
#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "ckp/clock.h"
#include "ckp/convert.h"
#include "ckp/error.h"
#include "ckp/format/limits.h"
#include "convert/part.h"
#include "convert/safetensors_header.h"
#include "io/durable_file.h"
#include "io/host.h"
#include "runs/record_codec.h"
#include "save/state_writer.h"

namespace ckp {
namespace {

using safetensors::Header;
using safetensors::Tensor;

// Several small tensors go through the encoder together: they share chunks and its threads.
constexpr std::uint64_t batch_bytes = 16u << 20;

struct Source {
  std::unique_ptr<File> file;
  Header header;
  std::uint64_t data_begin = 0;
};

void read_exactly(const File& file, std::uint64_t offset, std::span<std::byte> out) {
  const std::size_t got = file.read_at(offset, out);
  if (got == out.size()) return;
  throw Error(ErrorCode::corrupt,
              fmt::format("{}: ends at byte {}, expected {} more", file.path().string(),
                          offset + got, out.size() - got));
}

// safetensors takes any string as a name; names of a checkpoint are paths.
void check_name(const std::string& name, const std::string& what) {
  const bool empty_segment = name.empty() || name.front() == '/' || name.back() == '/' ||
                             name.find("//") != std::string::npos;
  std::string_view problem;
  if (empty_segment) problem = "it is empty or has an empty segment between slashes";
  if (name.find('\0') != std::string::npos) problem = "it contains a NUL";
  if (in_part(model_part, name).size() > format::limits::name_size) problem = "it is too long";
  if (problem.empty()) return;
  throw Error(ErrorCode::unsupported,
              fmt::format("{}: tensor {} cannot be named so in a .ckp: {}; rename it first", what,
                          safetensors::in_quotes(name), problem));
}

Source open_source(FileSystem& fs, const std::filesystem::path& path) {
  Source source{fs.open(path, OpenMode::read), {}, 0};
  const std::string what = path.string();
  const std::uint64_t size = source.file->status().size;
  std::array<std::byte, safetensors::length_size> first{};
  const std::size_t got = source.file->read_at(0, first);
  const std::uint64_t length = safetensors::decode_length(std::span(first).first(got), size, what);
  std::string json(length, '\0');
  read_exactly(*source.file, first.size(), std::as_writable_bytes(std::span(json)));
  source.data_begin = first.size() + length;
  source.header = safetensors::decode_header(json, size - source.data_begin, what);
  for (const Tensor& tensor : source.header.tensors) check_name(tensor.name, what);
  return source;
}

// Tensor `index` and those after it that fit into a batch, read into memory.
std::size_t read_batch(const Source& source, std::size_t index, StateDict& state) {
  const auto& tensors = source.header.tensors;
  const std::uint64_t start = tensors[index].begin;
  do {
    const Tensor& tensor = tensors[index];
    auto bytes = std::make_shared<std::vector<std::byte>>(tensor.end - tensor.begin);
    read_exactly(*source.file, source.data_begin + tensor.begin, *bytes);
    TensorView view = contiguous_view(tensor.dtype, tensor.shape, bytes->data());
    view.owner = std::move(bytes);
    state.add(in_part(model_part, tensor.name), std::move(view));
    ++index;
  } while (index < tensors.size() && tensors[index].end - start <= batch_bytes);
  return index;
}

// Puts the manifest of a later batch behind that of the earlier ones.
void append(format::Manifest& all, format::Manifest&& batch) {
  const auto reference = static_cast<std::uint32_t>(all.references.size());
  const auto storage = static_cast<std::uint32_t>(all.storages.size());
  for (auto& entry : batch.storages) {
    for (auto& piece : entry.pieces) {
      if (piece.reference != format::no_reference) piece.reference += reference;
    }
  }
  for (format::DerivedPiece& each : batch.derived) {
    each.storage += storage;
    each.source += storage;
  }
  for (auto& tensor : batch.tensors) tensor.storage += storage;
  std::ranges::move(batch.references, std::back_inserter(all.references));
  std::ranges::move(batch.storages, std::back_inserter(all.storages));
  std::ranges::move(batch.tensors, std::back_inserter(all.tensors));
  std::ranges::move(batch.derived, std::back_inserter(all.derived));
}

// What write_safetensors needs to write the same file again: null for a file without metadata.
Value::Map origin(const Header& header) {
  Value metadata;
  if (header.metadata) {
    metadata = Value::Map{};
    for (const auto& [key, text] : *header.metadata) metadata[key] = text;
  }
  return {{std::string(safetensors_part), Value::Map{{"metadata", metadata}}}};
}

void write_pack(const Source& source, FileAppender& out, const EncodeOptions& options) {
  format::PackHeader pack;
  pack.uuid = random_uuid();
  pack.may_use.refuse = format::feature::derived;
  format::PackWriter writer([&](std::span<const std::byte> bytes) { out.append(bytes); }, pack);
  CheckpointRecord record;
  record.created_ns = system_clock()->now_ns();
  record.writer = "ckpstore " CKP_VERSION;
  format::Manifest manifest;
  for (std::size_t next = 0; next < source.header.tensors.size();) {
    StateDict state;
    next = read_batch(source, next, state);
    WrittenState written = write_state(state, writer, nullptr, options);
    record.nonfinite = record.nonfinite || written.nonfinite;
    append(manifest, std::move(written.manifest));
  }
  std::ranges::sort(manifest.tensors, {}, &format::TensorEntry::name);
  manifest.values = origin(source.header);
  manifest.checkpoint = manifest_facts(record);
  writer.finish({&manifest, 1});
}

}  // namespace

ConvertReport convert_safetensors(const std::filesystem::path& from,
                                  const std::filesystem::path& to, const EncodeOptions& options,
                                  std::shared_ptr<FileSystem> fs) {
  const Source source = open_source(*fs, from);
  ConvertReport report;
  report.tensors = source.header.tensors.size();
  write_durably(*fs, to, true, [&](FileAppender& out) {
    write_pack(source, out, options);
    report.bytes = out.offset();
  });
  return report;
}

}  // namespace ckp
