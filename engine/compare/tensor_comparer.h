// Comparing tensors of two checkpoints, one after the other.
#pragma once

#include <string_view>

#include "ckp/compare.h"
#include "compare/chunk_cache.h"

namespace ckp {

class TensorComparer {
 public:
  // Both checkpoints outlive it. They may be the same: then the norms are its tensors' own.
  TensorComparer(const Checkpoint& a, const Checkpoint& b, Norms norms);

  // Damage makes the tensor unreadable.
  TensorChange compare(std::string_view name);

 private:
  void compare_elements(const format::TensorEntry& a, const format::TensorEntry& b,
                        TensorChange& change);

  const Checkpoint& a_;
  const Checkpoint& b_;
  Norms norms_;
  ChunkCache chunks_a_, chunks_b_;
};

}  // namespace ckp
