// Files that were saved with a checkpoint (SaveOptions::artifacts): a tokenizer, a confusion
// matrix.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ckp/digest.h"
#include "ckp/file_system.h"
#include "ckp/load.h"

namespace ckp {

// The name among a checkpoint's tensors and values that artifacts have for themselves
// (spec/format.md, "Conventions for values").
inline constexpr std::string_view artifacts_part = "artifacts";

struct Artifact {
  std::string name;
  std::uint64_t size = 0;
  Digest digest;  // of all its bytes
};

// Error(invalid_argument), saying why, unless `name` can be the path of a file below any folder:
// 1 to 1024 bytes of UTF-8 without control characters, segments of 1 to 255 bytes between single
// slashes, none of them "." or "..".
void check_artifact_name(std::string_view name);

// By name. Of the manifest alone: no byte of theirs is read. A name may be one that
// check_artifact_name refuses, if the checkpoint is not of this library's making.
std::vector<Artifact> artifacts_of(const Checkpoint& checkpoint);

// Whether a tensor of the manifest is the bytes of an artifact, and so not of the state.
bool is_artifact(const format::Manifest& manifest, const format::TensorEntry& tensor);

// Gives an artifact's bytes to `take`, verified, from the first to the last, a piece at a time: a
// large one is never in memory. Error(not_found) names those that are there; Error(corrupt) names
// file, chunk and artifact, and may come after some pieces.
void read_artifact(const Checkpoint& checkpoint, std::string_view name,
                   const std::function<void(std::span<const std::byte>)>& take);

// Writes an artifact to the file `to`, atomically and durably; its folder must be there. With
// `replace` false an existing file is Error(already_exists). Errors as read_artifact; `to` is as it
// was then.
void extract_artifact(const Checkpoint& checkpoint, std::string_view name,
                      const std::filesystem::path& to, bool replace = false,
                      std::shared_ptr<FileSystem> fs = posix_file_system());

}  // namespace ckp
