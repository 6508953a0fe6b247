// Loading: an open checkpoint.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ckp/file_system.h"
#include "ckp/format/manifest.h"
#include "ckp/records.h"
#include "ckp/state_dict.h"

namespace ckp {

struct LoadOptions {
  unsigned threads = 0;  // 0: one per core, at most 8
};

// A checkpoint with every pack it needs open, so that pruning meanwhile cannot take it away.
// Immutable; any number of threads may use one object. Copies share the open files.
class Checkpoint {
 public:
  // What `Checkpoint` is made from; see store.h and open_file.
  struct Parts;
  explicit Checkpoint(std::shared_ptr<const Parts> parts) : parts_(std::move(parts)) {}

  const CheckpointRecord& record() const;
  const format::Manifest& manifest() const;
  const Value::Map& values() const { return manifest().values; }
  // How messages name it: the path of its pack.
  std::string name() const;

  // Fills every target from the tensor of its name. First checks all names, dtypes and shapes:
  // Error(not_found) or Error(mismatch), naming tensor, expected and found, is thrown before a
  // byte of any target changes. Then reads, decodes and verifies in parallel. Error(corrupt) names
  // file, chunk, offset and the tensors it hits; targets are unspecified then, but damaged bytes
  // are never presented as a success.
  void load(std::span<const TensorTarget> targets, const LoadOptions& options = {}) const;

  // One tensor's elements in row-major order, verified. Error(not_found) suggests the closest name.
  std::vector<std::byte> read(std::string_view tensor, const LoadOptions& options = {}) const;

  // The bytes of storage `index` of the manifest, verified. Tensors that share it are views of it.
  std::vector<std::byte> read_storage(std::uint32_t index, const LoadOptions& options = {}) const;

  // For the engine itself: the open packs (engine/load/open_pack.h).
  const Parts& parts() const { return *parts_; }

 private:
  std::shared_ptr<const Parts> parts_;
};

// Opens a standalone `.ckp` file. Throws Error(not_found), Error(corrupt), Error(newer_format);
// for a pack of a store whose chunks lie in other packs Error(invalid_argument) that lists the
// packs it needs and the `ckptool convert` command that makes it standalone.
Checkpoint open_file(const std::filesystem::path& path,
                     std::shared_ptr<FileSystem> fs = posix_file_system());

}  // namespace ckp
