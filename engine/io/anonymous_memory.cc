#include "io/anonymous_memory.h"

#include <sys/mman.h>

#include <new>

namespace ckp {

AnonymousMemory::AnonymousMemory(std::size_t size) : size_(size) {
  void* const at =
      ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) throw std::bad_alloc();
  (void)::madvise(at, size, MADV_HUGEPAGE);  // a wish: kernels without huge pages refuse it
  data_ = static_cast<std::byte*>(at);
}

AnonymousMemory::~AnonymousMemory() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

}  // namespace ckp
