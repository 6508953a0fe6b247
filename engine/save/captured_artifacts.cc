#include "save/captured_artifacts.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "ckp/artifacts.h"
#include "ckp/error.h"
#include "save/reference_numbers.h"

namespace ckp {
namespace {

// What is read at a time of a file that is larger; save.h says so.
constexpr std::uint64_t largest_held = 16u << 20;

void check_state(const StateDict& state) {
  const std::string prefix = fmt::format("{}/", artifacts_part);
  const auto tensor = state.tensors().lower_bound(prefix);
  const bool has_tensor = tensor != state.tensors().end() && tensor->first.starts_with(prefix);
  if (!has_tensor && !state.values().contains(artifacts_part)) return;
  throw Error(ErrorCode::invalid_argument,
              fmt::format("the state has a part named {}, where files are kept that are saved with "
                          "it; give the part another name",
                          artifacts_part));
}

void check_names(std::span<const ArtifactFile> files) {
  std::set<std::string, std::less<>> names;
  for (const ArtifactFile& file : files) {
    check_artifact_name(file.name);
    if (names.insert(file.name).second) continue;
    throw Error(ErrorCode::invalid_argument,
                fmt::format("artifact '{}': there are two of that name", file.name));
  }
  for (const std::string& name : names) {
    const auto below = names.lower_bound(name + "/");
    if (below == names.end() || !below->starts_with(name + "/")) continue;
    throw Error(
        ErrorCode::invalid_argument,
        fmt::format("artifact '{}': cannot be a file and the folder of '{}'", name, *below));
  }
}

void read_part(const File& file, std::uint64_t offset, std::span<std::byte> out,
               const std::string& name) {
  if (file.read_at(offset, out) == out.size()) return;
  throw Error(ErrorCode::invalid_argument,
              fmt::format("artifact {}: {} became shorter while it was saved; leave it alone until "
                          "then",
                          name, file.path().string()));
}

void check_same(const File& file, const FileStatus& before, const std::string& name) {
  const FileStatus now = file.status();
  if (now.size == before.size && now.modified_ns == before.modified_ns) return;
  throw Error(
      ErrorCode::invalid_argument,
      fmt::format("artifact {}: {} was changed while it was saved; leave it alone until then", name,
                  file.path().string()));
}

CapturedArtifact capture(FileSystem& fs, const ArtifactFile& from) {
  const auto there = fs.status(from.path);
  if (!there) {
    throw Error(ErrorCode::not_found,
                fmt::format("artifact {}: {}: no such file", from.name, from.path.string()));
  }
  if (there->is_directory) {
    throw Error(ErrorCode::invalid_argument,
                fmt::format("artifact {}: {} is a folder; give each file of it", from.name,
                            from.path.string()));
  }
  std::shared_ptr<const File> file = fs.open(from.path, OpenMode::read);
  CapturedArtifact captured{from.name, {}, {}, file->status()};
  if (captured.status.size > largest_held) {
    captured.file = std::move(file);
    return captured;
  }
  captured.bytes.resize(captured.status.size);
  read_part(*file, 0, captured.bytes, from.name);
  check_same(*file, captured.status, from.name);
  return captured;
}

class ArtifactWriter {
 public:
  ArtifactWriter(WrittenState& written, format::PackWriter& writer, ChunkFinder* finder,
                 const EncodeOptions& options)
      : written_(written),
        writer_(writer),
        finder_(finder),
        options_(options),
        number_of_(written.manifest.references) {}

  // Returns what is said about it among the values.
  Value write(const CapturedArtifact& artifact) {
    DigestStream digest;
    format::StorageEntry storage;
    const auto add = [&](std::span<const std::byte> bytes) {
      digest.update(bytes);
      add_bytes(bytes, storage);
    };
    if (artifact.file == nullptr) {
      if (!artifact.bytes.empty()) add(artifact.bytes);
    } else {
      read_all(artifact, add);
    }
    const auto size = static_cast<std::int64_t>(storage.size);
    format::TensorEntry tensor;
    tensor.name = fmt::format("{}/{}", artifacts_part, artifact.name);
    tensor.dtype = DType::uint8;
    tensor.storage = static_cast<std::uint32_t>(written_.manifest.storages.size());
    tensor.shape = {size};
    tensor.strides = {1};
    written_.manifest.storages.push_back(std::move(storage));
    written_.manifest.tensors.push_back(std::move(tensor));
    return Value::Map{{"size", size}, {"xxh3_128", digest.digest().hex()}};
  }

 private:
  template <typename Add>
  void read_all(const CapturedArtifact& artifact, const Add& add) {
    // Whole chunks, so that where a file is cut depends on nothing else.
    const std::uint64_t step =
        std::max<std::uint64_t>(1, largest_held / options_.chunk_size) * options_.chunk_size;
    std::vector<std::byte> buffer(step);
    for (std::uint64_t at = 0; at < artifact.status.size; at += step) {
      const auto part = std::span(buffer).first(std::min(step, artifact.status.size - at));
      read_part(*artifact.file, at, part, artifact.name);
      add(part);
    }
    check_same(*artifact.file, artifact.status, artifact.name);
  }

  // A state of its own, so that its chunks hold nothing that changes from save to save.
  void add_bytes(std::span<const std::byte> bytes, format::StorageEntry& storage) {
    StateDict state;
    state.add("bytes", contiguous_view(DType::uint8, {static_cast<std::int64_t>(bytes.size())},
                                       bytes.data()));
    const WrittenState part = write_state(state, writer_, finder_, options_);
    for (format::StoragePiece piece : part.manifest.storages.at(0).pieces) {
      piece.reference = number_of_(part.manifest.references[piece.reference]);
      storage.pieces.push_back(piece);
    }
    storage.size += bytes.size();
    written_.chunks_written += part.chunks_written;
    written_.chunks_shared += part.chunks_shared;
    written_.bytes_shared += part.bytes_shared;
    written_.hash_ns += part.hash_ns;
    written_.encode_ns += part.encode_ns;
    written_.write_ns += part.write_ns;
  }

  WrittenState& written_;
  format::PackWriter& writer_;
  ChunkFinder* const finder_;
  const EncodeOptions& options_;
  ReferenceNumbers number_of_;
};

}  // namespace

std::vector<CapturedArtifact> capture_artifacts(FileSystem& fs, const StateDict& state,
                                                std::span<const ArtifactFile> files) {
  std::vector<CapturedArtifact> captured;
  if (files.empty()) return captured;
  check_state(state);
  check_names(files);
  for (const ArtifactFile& file : files) captured.push_back(capture(fs, file));
  return captured;
}

std::uint64_t held_size(std::span<const CapturedArtifact> artifacts) {
  std::uint64_t size = 0;
  for (const CapturedArtifact& each : artifacts) size += each.bytes.size();
  return size;
}

std::uint64_t total_size(std::span<const CapturedArtifact> artifacts) {
  std::uint64_t size = 0;
  for (const CapturedArtifact& each : artifacts) size += each.status.size;
  return size;
}

void write_artifacts(std::span<const CapturedArtifact> artifacts, WrittenState& written,
                     format::PackWriter& writer, ChunkFinder* finder,
                     const EncodeOptions& options) {
  if (artifacts.empty()) return;
  ArtifactWriter to(written, writer, finder, options);
  Value::Map facts;
  for (const CapturedArtifact& each : artifacts) facts.emplace(each.name, to.write(each));
  written.manifest.values.emplace(artifacts_part, std::move(facts));
  std::ranges::sort(written.manifest.tensors, {}, &format::TensorEntry::name);
}

}  // namespace ckp
