#include "check/chunk_share.h"

#include <algorithm>
#include <cmath>

#include "ckp/digest.h"
#include "ckp/format/wire.h"

namespace ckp {

ChunkShare::ChunkShare(double share, std::uint64_t seed)
    : share_(std::clamp(share, 0.0, 1.0)), all_(share_ >= 1.0) {
  if (all_) return;
  // Rounded up, so that n windows of 1/n leave no gap.
  width_ = static_cast<std::uint64_t>(std::ceil(std::ldexp(static_cast<long double>(share_), 64)));
  begin_ = seed * width_;
}

bool ChunkShare::holds(const format::ChunkAddress& chunk) const {
  if (all_) return true;
  format::Writer bytes;
  bytes.uuid(chunk.pack);
  bytes.u32(chunk.number);
  return checksum_of(bytes.buffer()) - begin_ < width_;
}

}  // namespace ckp
