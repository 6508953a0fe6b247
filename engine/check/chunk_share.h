// Which chunks a check of a share looks at.
#pragma once

#include <cstdint>

#include "ckp/format/record.h"

namespace ckp {

// A window on the hashes of all chunks, which moves on by its own width from seed to seed: with a
// share of 1/n, n seeds in a row cover everything once.
class ChunkShare {
 public:
  ChunkShare(double share, std::uint64_t seed);
  bool holds(const format::ChunkAddress& chunk) const;
  bool is_all() const { return all_; }
  double share() const { return share_; }

 private:
  double share_;
  bool all_;
  std::uint64_t begin_ = 0, width_ = 0;
};

}  // namespace ckp
