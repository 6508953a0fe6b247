// Working memory that each thread keeps from one call to the next.
#pragma once

#include <pthread.h>

#include <memory>
#include <new>

namespace ckp::format {

// One T for each thread, made by the thread's first get() and destroyed when the thread ends; the
// main thread's lives on. Unlike a thread_local's, its making can fail: glibc ends the process when
// it lacks the memory to note down a thread_local's destructor. For objects of static duration: the
// key is never given back.
template <class T>
class PerThread {
 public:
  // Throws std::bad_alloc when the process has no key left.
  PerThread() {
    if (pthread_key_create(&key_, destroy) != 0) throw std::bad_alloc();
  }
  PerThread(const PerThread&) = delete;
  PerThread& operator=(const PerThread&) = delete;

  // Throws std::bad_alloc.
  T& get() {
    if (void* known = pthread_getspecific(key_)) return *static_cast<T*>(known);
    auto made = std::make_unique<T>();
    if (pthread_setspecific(key_, made.get()) != 0) throw std::bad_alloc();
    return *made.release();
  }

 private:
  static void destroy(void* object) { delete static_cast<T*>(object); }
  pthread_key_t key_{};
};

}  // namespace ckp::format
