// Memory from the kernel, for buffers of many megabytes.
#pragma once

#include <cstddef>
#include <utility>

namespace ckp {

// Zeroed and page aligned, on huge pages where the kernel gives them; pages are made when they are
// first touched. Movable.
class AnonymousMemory {
 public:
  // std::bad_alloc when the kernel has none. `size` is not 0.
  explicit AnonymousMemory(std::size_t size);
  AnonymousMemory(AnonymousMemory&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  AnonymousMemory& operator=(AnonymousMemory&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~AnonymousMemory();

  std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }

 private:
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace ckp
