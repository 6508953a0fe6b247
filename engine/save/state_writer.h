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
#include "save/committed_state.h"

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
  // Whether a chunk that has not changed since it was committed may be referenced where it is.
  virtual bool is_live(const format::ChunkReference& unchanged) = 0;
  // The raw bytes of such a chunk or patch, live or not, verified; throws Error. On several threads
  // at once, both.
  virtual void read_unchanged(const format::ChunkReference& unchanged,
                              std::span<std::byte> out) = 0;
};

// What a state was found to have in common with the last committed one.
struct ComparedState {
  UnchangedChunks unchanged;                          // empty: nothing
  const CommittedState::Chunks* committed = nullptr;  // null: nothing to compare with
  std::span<const Digest> places;                     // by chunk, of `committed`
  const Fingerprinter* fingerprinter = nullptr;       // null: WrittenState::chunks is not wanted
  std::uint64_t turn = 0;                             // grows from save to save; see write_layout
};

struct WrittenState {
  // references, storages, tensors and values; `checkpoint` is left empty.
  format::Manifest manifest;
  // By chunk of the layout; what stands in this pack has a nil pack in its reference, also in those
  // of the patches and differences.
  std::vector<CommittedChunk> chunks;
  bool nonfinite = false;
  std::uint64_t chunks_written = 0, patches_written = 0, differences_written = 0;
  std::uint64_t chunks_derived = 0;
  std::uint64_t chunks_shared = 0, bytes_shared = 0;
  std::int64_t hash_ns = 0, encode_ns = 0, write_ns = 0;
};

// Splits storages into chunks (small storages share chunks, spec/format.md), hashes, shares,
// encodes on `options.threads` threads and adds to `writer` in order. Memory is bounded: a few
// chunks per thread. Does not finish the writer. `finder` may be null.
WrittenState write_state(const StateDict& state, format::PackWriter& writer, ChunkFinder* finder,
                         const EncodeOptions& options);
// The same of a state that is cut into chunks already; the bytes are read where `layout` says,
// those of unchanged chunks not at all. Of these, a few are read back where they are stored, others
// in each turn, so that damage there does not go on unseen for ever: Error(corrupt) then, and the
// next save is to store everything anew. Of regions in which few rows have changed, the rows are
// written, as a patch; of chunks that have changed as a whole, their differences where that pays;
// of chunks that are the rounding of others, nothing.
WrittenState write_layout(ChunkLayout layout, const ComparedState& compared, Value::Map values,
                          format::PackWriter& writer, ChunkFinder* finder,
                          const EncodeOptions& options);

}  // namespace ckp
