// Memory that snapshots are copied into, kept from one save to the next: its pages are made once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

#include "io/anonymous_memory.h"

namespace ckp {

// Blocks that no snapshot uses now: those of the snapshot that was given back last. Older ones go
// back to the kernel. Thread-safe; outlives the Stagings made with it.
class StagingPool {
 public:
  // At least `size` bytes. std::bad_alloc.
  AnonymousMemory take(std::size_t size);
  void give_back(std::vector<AnonymousMemory> blocks) noexcept;

 private:
  std::mutex mutex_;
  std::vector<AnonymousMemory> free_;
};

// The memory of one snapshot, given back as a whole by the destructor. Movable.
class Staging {
 public:
  // `bound`: no more than this will be asked for, rounding apart.
  Staging(StagingPool& pool, std::uint64_t bound) : pool_(&pool), bound_(bound) {}
  Staging(Staging&& other) noexcept = default;
  Staging& operator=(Staging&&) = delete;
  ~Staging() { pool_->give_back(std::move(blocks_)); }

  // `size` contiguous bytes, aligned to 64. One thread at a time. std::bad_alloc.
  std::byte* allocate(std::size_t size);
  std::uint64_t allocated() const { return allocated_; }

 private:
  StagingPool* pool_;
  std::uint64_t bound_;
  std::vector<AnonymousMemory> blocks_;
  std::size_t used_ = 0;  // of the last block
  std::uint64_t allocated_ = 0;
};

}  // namespace ckp
