// Between checkpoints and safetensors files. https://github.com/huggingface/safetensors#format
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "ckp/file_system.h"
#include "ckp/load.h"
#include "ckp/save.h"

namespace ckp {

struct ExportOptions {
  // Parts to write ("model", "ema"). Empty: "model" without its prefix, or everything when the
  // state has no such part.
  std::vector<std::string> parts = {};
  bool all = false;  // every part, names with their prefix
};

struct ConvertReport {
  std::uint64_t tensors = 0;
  std::uint64_t bytes = 0;            // of the file written
  std::vector<std::string> left_out;  // parts that were not written; artifacts never are
};

// Writes `.safetensors`: row-major copies of the tensors, plain values and metrics as strings in
// `__metadata__`. One part is written without its prefix, several with it. Atomic and durable. A
// state that came from safetensors goes back with the same names and metadata. Error(unsupported)
// names a tensor whose dtype safetensors lacks.
ConvertReport write_safetensors(const Checkpoint& from, const std::filesystem::path& to,
                                const ExportOptions& options = {},
                                std::shared_ptr<FileSystem> fs = posix_file_system());

// Reads `.safetensors` and writes a standalone `.ckp` with the part "model". Error(corrupt) for a
// header that lies: overlapping or missing ranges, sizes that do not fit, repeated names, beyond
// the end.
ConvertReport convert_safetensors(const std::filesystem::path& from,
                                  const std::filesystem::path& to,
                                  const EncodeOptions& options = {},
                                  std::shared_ptr<FileSystem> fs = posix_file_system());

// Writes a checkpoint as one standalone `.ckp`: every chunk it needs, none of other packs.
ConvertReport write_standalone(const Checkpoint& from, const std::filesystem::path& to,
                               std::shared_ptr<FileSystem> fs = posix_file_system());

// What a file is, by its first bytes.
enum class FileKind { ckp, safetensors, pytorch, unknown };
FileKind detect_kind(const std::filesystem::path& path, FileSystem& fs);
// What to tell the owner of a .pt or .pth: the line of Python that turns it into safetensors.
std::string pytorch_advice(const std::filesystem::path& path);

}  // namespace ckp
