// Checking every byte of one pack.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "ckp/format/manifest.h"
#include "ckp/format/pack.h"
#include "ckp/verify.h"

namespace ckp {

struct PackProblem {
  std::int64_t chunk = -1;   // chunk number, when it is a chunk
  std::int64_t offset = -1;  // in the file, when it is known
  std::string message;
};

struct PackCheck {
  std::vector<PackProblem> problems;
  // What could be read in spite of the problems.
  std::optional<format::PackDirectory> directory;
  std::optional<format::Manifest> manifest;
  std::uint64_t chunks = 0;
};

// Told how many bytes have been checked; answers whether to go on. Called from any thread.
using ByteCounter = std::function<bool(std::uint64_t bytes)>;

// With VerifyLevel::stored every byte of the file is covered: header, records, padding, chunk
// table, both manifests, trailer. `full` decodes chunks as well; `structure` skips their stored
// bytes.
PackCheck check_pack(const format::ByteSource& source, VerifyLevel level, unsigned threads,
                     const ByteCounter& count);

}  // namespace ckp
