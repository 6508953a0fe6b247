// Buffers that threads borrow: the pages of a chunk's scratch memory are touched once, not once a
// chunk.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

namespace ckp {

// Outlives its leases. Any thread may take.
class BufferPool {
 public:
  using Buffer = std::vector<std::byte>;
  struct GiveBack {
    BufferPool* pool = nullptr;
    void operator()(Buffer* buffer) const { pool->give_back(buffer); }
  };
  // A buffer of unspecified size and content, given back by the destructor.
  using Lease = std::unique_ptr<Buffer, GiveBack>;

  Lease take() {
    {
      const std::lock_guard lock(mutex_);
      if (!free_.empty()) {
        Lease lease(free_.back().release(), GiveBack{this});
        free_.pop_back();
        return lease;
      }
    }
    return Lease(new Buffer, GiveBack{this});
  }

 private:
  void give_back(Buffer* buffer) noexcept {
    std::unique_ptr<Buffer> owned(buffer);
    const std::lock_guard lock(mutex_);
    try {
      free_.push_back(std::move(owned));
    } catch (...) {
      // Then it is freed: `owned` still has it.
    }
  }

  std::mutex mutex_;
  std::vector<std::unique_ptr<Buffer>> free_;
};

}  // namespace ckp
