// Work on numbered items with a few threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

namespace ckp {

// `requested`, or one per core when it is 0; at least 1, at most 8.
unsigned thread_count(unsigned requested);
// The same for work on so many bytes. What is not requested is fewer where starting a thread costs
// more than it takes over.
unsigned thread_count(unsigned requested, std::uint64_t bytes);

// Calls work(i) for i in [0, count), on `threads` threads. The first exception is thrown here after
// all threads have stopped; later items are then skipped.
void parallel_for(std::size_t count, unsigned threads,
                  const std::function<void(std::size_t)>& work);

// work(i) on threads, then consume(i) on the calling thread in order of i, with at most `window`
// items worked on but not consumed.
void parallel_ordered(std::size_t count, unsigned threads, std::size_t window,
                      const std::function<void(std::size_t)>& work,
                      const std::function<void(std::size_t)>& consume);

}  // namespace ckp
