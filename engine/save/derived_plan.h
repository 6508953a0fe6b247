// Which chunks are not stored at all: two-byte numbers that are the rounding of float32 ones of the
// same state, such as the weights of mixed precision and their masters (spec/commit.md, "Derived
// tensors").
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "save/chunk_layout.h"
#include "save/state_writer.h"

namespace ckp {

struct Derivation {
  std::uint32_t source = 0;  // storage; all its chunks are its own
  format::Rounding rounding = format::Rounding::bfloat16;
};

class DerivedPlan {
 public:
  // Both outlive it.
  DerivedPlan(const ChunkLayout& layout, const ComparedState& compared);

  // The bytes of an unchanged chunk, read back into `scratch`; throws Error. On several threads.
  using ReadUnchanged =
      std::function<std::span<const std::byte>(std::size_t chunk, std::vector<std::byte>& scratch)>;
  // Finds what belongs together, and compares every bit of it. What was derived and has not
  // changed, nor its source, is known to be derived; at level `none` nothing else is.
  void decide(const EncodeOptions& options, const ReadUnchanged& read, unsigned threads);

  // Null: it has bytes of its own.
  const Derivation* of(std::size_t chunk) const;
  // How the next save finds it again.
  std::optional<CommittedDerivation> to_remember(std::size_t chunk) const;

 private:
  void keep_unchanged();
  // Storages that a storage may be the rounding of; each chunk has the first that fits.
  struct Candidates {
    std::uint32_t storage = 0;
    format::Rounding rounding = format::Rounding::bfloat16;
    std::vector<std::uint32_t> sources;
  };
  std::vector<Candidates> find_candidates() const;
  std::vector<std::uint32_t> sources_before(std::uint32_t storage) const;
  bool is_rounding(std::size_t chunk, const Derivation& from, const ReadUnchanged& read) const;

  const ChunkLayout& layout_;
  const ComparedState& compared_;
  std::map<Digest, std::uint32_t> storage_at_;          // by place of its first chunk
  std::vector<std::optional<Derivation>> derivations_;  // by chunk
};

// A derived chunk is stored nowhere: it counts as unchanged only together with all that it is made
// of. Otherwise it is to be copied, and looked at anew.
void keep_with_sources(const ChunkLayout& layout, std::span<const Digest> places,
                       UnchangedChunks& unchanged);

}  // namespace ckp
