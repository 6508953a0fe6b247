// A state dict becomes the chunks and the manifest of a pack.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "ckp/format/manifest.h"
#include "ckp/format/pack.h"
#include "ckp/save.h"
#include "ckp/state_dict.h"
#include "save/chunk_layout.h"

namespace ckp {

// Where else equal chunks might be stored. Answers are proposals: state_writer reads the bytes and
// compares before it shares a chunk.
class ChunkFinder {
 public:
  virtual ~ChunkFinder() = default;
  // For each digest the candidates, best first; all of them may be referenced safely (their packs
  // cannot be collected while this save is under way).
  virtual std::vector<std::vector<format::ChunkReference>> find(
      std::span<const Digest> raw_digests, std::span<const std::uint32_t> raw_sizes) = 0;
  // The raw bytes behind a candidate; false when they cannot be read (then it is not shared).
  // Called on several threads at once, after find() has returned.
  virtual bool read(const format::ChunkReference& reference, std::span<std::byte> out) = 0;
};

struct WrittenState {
  // references, storages, tensors and values; `checkpoint` is left empty.
  format::Manifest manifest;
  bool nonfinite = false;
  std::uint64_t chunks_written = 0, chunks_shared = 0, bytes_shared = 0;
  std::int64_t hash_ns = 0, encode_ns = 0, write_ns = 0;
};

// Splits storages into chunks (small storages share chunks, spec/format.md), hashes, shares,
// encodes on `options.threads` threads and adds to `writer` in order. Memory is bounded: a few
// chunks per thread. Does not finish the writer. `finder` may be null.
WrittenState write_state(const StateDict& state, format::PackWriter& writer, ChunkFinder* finder,
                         const EncodeOptions& options);
// The same of a state that is cut into chunks already; the bytes are read where `layout` says.
WrittenState write_layout(ChunkLayout layout, Value::Map values, format::PackWriter& writer,
                          ChunkFinder* finder, const EncodeOptions& options);

}  // namespace ckp
