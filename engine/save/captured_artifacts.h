// Files on their way into a checkpoint.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ckp/file_system.h"
#include "ckp/save.h"
#include "save/state_writer.h"

namespace ckp {

// A file as it was when it was captured: its bytes, or the open file when they are many.
struct CapturedArtifact {
  std::string name;
  std::vector<std::byte> bytes = {};
  std::shared_ptr<const File> file = {};  // null: `bytes` is all of it
  FileStatus status = {};
};

// Error(invalid_argument) for names that are wrong, repeated, or one below the other, for a state
// that has a part or value "artifacts" of its own, and for what is no file; Error(not_found).
std::vector<CapturedArtifact> capture_artifacts(FileSystem& fs, const StateDict& state,
                                                std::span<const ArtifactFile> files);

// Bytes in memory, and those that will be written.
std::uint64_t held_size(std::span<const CapturedArtifact> artifacts);
std::uint64_t total_size(std::span<const CapturedArtifact> artifacts);

// Adds them to a written state: chunks to `writer`, or shared as those of a state are; tensors,
// and what is said about them, to the manifest. A large file is in memory a few MiB at a time;
// Error(invalid_argument) when it has changed since it was captured.
void write_artifacts(std::span<const CapturedArtifact> artifacts, WrittenState& written,
                     format::PackWriter& writer, ChunkFinder* finder, const EncodeOptions& options);

}  // namespace ckp
