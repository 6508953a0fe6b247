// The raw bytes of a checkpoint's chunks and patched pieces, a few at a time.
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
  // The bytes of a storage's piece with its differences and patches applied, or derived; the piece
  // begins at `begin` of the storage. Valid until the next call.
  std::span<const std::byte> get_patched(std::uint32_t storage, std::size_t piece,
                                         std::uint64_t begin);

 private:
  // Of a chunk: its reference. Of a patched piece: storage and number.
  struct Key {
    bool patched = false;
    std::size_t first = 0, second = 0;
    friend bool operator==(const Key&, const Key&) = default;
  };
  struct Entry {
    Key key;
    std::vector<std::byte> bytes;
  };
  const Entry* find(const Key& key);
  std::span<const std::byte> add(Entry entry);
  const Checkpoint::Parts& parts_;
  std::list<Entry> entries_;  // the latest used first
  std::size_t size_ = 0;
};

}  // namespace ckp
