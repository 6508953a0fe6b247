// The raw bytes of a checkpoint's chunks, a few at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <span>
#include <vector>

#include "load/open_pack.h"

namespace ckp {

class ChunkCache {
 public:
  explicit ChunkCache(const Checkpoint::Parts& parts) : parts_(parts) {}

  // The verified bytes of manifest.references[reference], valid until the next call.
  std::span<const std::byte> get(std::uint32_t reference);

 private:
  struct Entry {
    std::uint32_t reference = 0;
    std::vector<std::byte> bytes;
  };
  const Checkpoint::Parts& parts_;
  std::list<Entry> entries_;  // the latest used first
  std::size_t size_ = 0;
};

}  // namespace ckp
