// Working memory that threads keep from one call to the next.
#pragma once

#include <pthread.h>

#include <array>
#include <atomic>
#include <memory>
#include <new>

namespace ckp::format {

// One T for each thread that is in get() or has been: made by the thread's first get(), or taken
// over from a thread that has ended, so that threads which come and go with each save do not touch
// new memory each time. A few are kept for that; the others are destroyed when their thread ends.
// Unlike a thread_local's, its making can fail: glibc ends the process when it lacks the memory to
// note down a thread_local's destructor. For objects of static duration: the key is never given
// back.
template <class T>
class PerThread {
 public:
  // Throws std::bad_alloc when the process has no key left.
  PerThread() {
    if (pthread_key_create(&key_, give_back) != 0) throw std::bad_alloc();
  }
  PerThread(const PerThread&) = delete;
  PerThread& operator=(const PerThread&) = delete;

  // In whatever state its last user left it. Throws std::bad_alloc.
  T& get() {
    if (void* known = pthread_getspecific(key_)) return static_cast<Owned*>(known)->object;
    std::unique_ptr<Owned> mine = take_left();
    if (!mine) mine = std::make_unique<Owned>(*this);
    if (pthread_setspecific(key_, mine.get()) != 0) throw std::bad_alloc();
    return mine.release()->object;
  }

 private:
  struct Owned {
    explicit Owned(PerThread& its_owner) : owner(its_owner) {}
    PerThread& owner;
    T object{};
  };

  std::unique_ptr<Owned> take_left() noexcept {
    for (auto& place : left_) {
      if (Owned* const found = place.exchange(nullptr)) return std::unique_ptr<Owned>(found);
    }
    return nullptr;
  }

  static void give_back(void* object) {
    std::unique_ptr<Owned> mine(static_cast<Owned*>(object));
    for (auto& place : mine->owner.left_) {
      Owned* nothing = nullptr;
      if (place.compare_exchange_strong(nothing, mine.get())) {
        static_cast<void>(mine.release());
        return;
      }
    }
  }

  // No mutex: a forked child may need them, too.
  std::array<std::atomic<Owned*>, 4> left_{};
  pthread_key_t key_{};
};

}  // namespace ckp::format
