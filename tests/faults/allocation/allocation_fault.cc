#include "faults/allocation/allocation_fault.h"

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <new>

#include "support/sanitizer.h"

namespace ckp::test::allocation_fault {
namespace {

constinit std::atomic<bool> counting = false;
constinit std::atomic<std::uint64_t> count = 0;
constinit std::atomic<std::uint64_t> fails_at = 0;
constinit std::atomic<bool> has_struck = false;
constinit std::atomic<std::int64_t> live_count = 0;

// Whether the allocation that is about to be made must fail.
bool must_fail() {
  if (!counting.load(std::memory_order_relaxed)) return false;
  if (++count != fails_at.load(std::memory_order_relaxed)) return false;
  has_struck = true;
  return true;
}

}  // namespace

void plan(std::uint64_t at) {
  count = 0;
  has_struck = false;
  fails_at = at;
  counting = true;
}
void clear() { counting = false; }
std::uint64_t counted() { return count; }
bool struck() { return has_struck; }
std::int64_t live() { return live_count; }

#if CKP_SANITIZED

bool can_count_live() { return false; }

}  // namespace ckp::test::allocation_fault

namespace fault = ckp::test::allocation_fault;

namespace {

void* allocate(std::size_t size, std::size_t alignment) noexcept {
  if (fault::must_fail()) return nullptr;
  if (alignment == 0) return std::malloc(size == 0 ? 1 : size);
  return std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
}
void* allocate_or_throw(std::size_t size, std::size_t alignment) {
  void* const piece = allocate(size, alignment);
  if (piece == nullptr) throw std::bad_alloc();
  return piece;
}

}  // namespace

// All of them, because the sanitizer has each of its own.
void* operator new(std::size_t size) { return allocate_or_throw(size, 0); }
void* operator new[](std::size_t size) { return allocate_or_throw(size, 0); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return allocate(size, 0); }
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept { return allocate(size, 0); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  return allocate_or_throw(size, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t size, std::align_val_t alignment) {
  return allocate_or_throw(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* piece) noexcept { std::free(piece); }
void operator delete[](void* piece) noexcept { std::free(piece); }
void operator delete(void* piece, const std::nothrow_t&) noexcept { std::free(piece); }
void operator delete[](void* piece, const std::nothrow_t&) noexcept { std::free(piece); }
void operator delete(void* piece, std::size_t) noexcept { std::free(piece); }
void operator delete[](void* piece, std::size_t) noexcept { std::free(piece); }
void operator delete(void* piece, std::align_val_t) noexcept { std::free(piece); }
void operator delete[](void* piece, std::align_val_t) noexcept { std::free(piece); }
void operator delete(void* piece, std::size_t, std::align_val_t) noexcept { std::free(piece); }
void operator delete[](void* piece, std::size_t, std::align_val_t) noexcept { std::free(piece); }

#else

bool can_count_live() { return true; }

namespace {

void* counted_piece(void* piece) {
  if (piece != nullptr) ++live_count;
  return piece;
}
void* out_of_memory() {
  errno = ENOMEM;
  return nullptr;
}

}  // namespace
}  // namespace ckp::test::allocation_fault

namespace fault = ckp::test::allocation_fault;

// glibc's own names of what is replaced here.
extern "C" {
void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t number, std::size_t size);
void* __libc_realloc(void* piece, std::size_t size);
void* __libc_memalign(std::size_t alignment, std::size_t size);
void __libc_free(void* piece);

void* malloc(std::size_t size) {
  return fault::counted_piece(fault::must_fail() ? fault::out_of_memory() : __libc_malloc(size));
}
void* calloc(std::size_t number, std::size_t size) {
  return fault::counted_piece(fault::must_fail() ? fault::out_of_memory()
                                                 : __libc_calloc(number, size));
}
void* realloc(void* piece, std::size_t size) {
  if (fault::must_fail()) return fault::out_of_memory();
  void* const moved = __libc_realloc(piece, size);
  if (piece == nullptr) return fault::counted_piece(moved);
  if (moved == nullptr && size == 0) --fault::live_count;
  return moved;
}
void* memalign(std::size_t alignment, std::size_t size) {
  return fault::counted_piece(fault::must_fail() ? fault::out_of_memory()
                                                 : __libc_memalign(alignment, size));
}
void* aligned_alloc(std::size_t alignment, std::size_t size) { return memalign(alignment, size); }
int posix_memalign(void** out, std::size_t alignment, std::size_t size) {
  void* const piece = memalign(alignment, size);
  if (piece == nullptr) return ENOMEM;
  *out = piece;
  return 0;
}
void free(void* piece) {
  if (piece != nullptr) --fault::live_count;
  __libc_free(piece);
}
}

#endif
