// Saving: options, the handle of a save, and the single-file form.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "ckp/file_system.h"
#include "ckp/format/codec.h"
#include "ckp/records.h"
#include "ckp/state_dict.h"

namespace ckp {

// How bytes are made into chunks. The defaults are right for almost everybody.
struct EncodeOptions {
  format::Compression compression = format::Compression::balanced;
  std::uint32_t chunk_size = 1u << 20;  // raw bytes; a multiple of 4096, at most 64 MiB
  unsigned threads = 0;                 // 0: one per core, at most 8
};

struct SaveOptions {
  std::int64_t epoch = 0;  // epochs completed
  std::int64_t step = 0;   // optimizer steps completed
  std::map<std::string, double> metrics = {};
  Value::Map tags = {};
  bool final = false;  // the end of the run
  EncodeOptions encode = {};
};

// What a finished save did.
struct SaveReport {
  CheckpointRecord checkpoint;
  std::filesystem::path path;
  std::uint64_t chunks_written = 0;
  std::uint64_t chunks_shared = 0;  // found in the store, or twice in this state
  std::uint64_t bytes_shared = 0;   // raw
  std::uint64_t bytes_written = 0;  // file size
  std::int64_t encode_ns = 0, write_ns = 0, sync_ns = 0, commit_ns = 0;
};

// The handle of a save. In this version the work is done before Run::save returns, so done() is
// true at once; code written with wait() keeps working when saves become asynchronous. Movable.
class PendingSave {
 public:
  explicit PendingSave(SaveReport report) : report_(std::move(report)) {}
  bool done() const { return true; }
  // The report, or the error that made the save fail. After wait() returned, the checkpoint is
  // durable.
  const SaveReport& wait() { return report_; }

 private:
  SaveReport report_;
};

// Saves `state` as one standalone file that needs no store. Atomic and durable on return: at any
// moment `path` holds the old complete file or the new one. Throws Error; the old file is intact
// then, and nothing else is left behind.
SaveReport save_file(const std::filesystem::path& path, const StateDict& state,
                     const SaveOptions& options = {},
                     std::shared_ptr<FileSystem> fs = posix_file_system());

}  // namespace ckp
