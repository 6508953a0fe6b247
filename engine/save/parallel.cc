#include "save/parallel.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace ckp {
namespace {

// Up to `count` threads that run `body`; fewer, possibly none, when the system has no more to give.
std::vector<std::jthread> start_threads(std::size_t count, const std::function<void()>& body) {
  std::vector<std::jthread> threads;
  threads.reserve(count);
  try {
    while (threads.size() < count) threads.emplace_back(body);
  } catch (...) {
    // No thread or no memory for one: the work is done all the same, only more slowly.
  }
  return threads;
}

// The state that the workers of parallel_ordered share with the consumer.
class OrderedWork {
 public:
  OrderedWork(std::size_t count, std::size_t window, const std::function<void(std::size_t)>& work)
      : count_(count), window_(window), work_(work), done_(window, 0) {}

  // A worker's life.
  void run() {
    std::unique_lock lock(mutex_);
    while (true) {
      can_work_.wait(lock,
                     [&] { return stopped_ || next_ >= count_ || next_ < consumed_ + window_; });
      if (stopped_ || next_ >= count_) return;
      const std::size_t item = next_++;
      lock.unlock();
      std::exception_ptr error;
      try {
        work_(item);
      } catch (...) {
        error = std::current_exception();
      }
      lock.lock();
      finish(item, error);
    }
  }

  // Waits until `item` is worked on; throws what a worker threw, if any did.
  void wait_for(std::size_t item) {
    std::unique_lock lock(mutex_);
    can_consume_.wait(lock, [&] { return error_ != nullptr || done_[item % window_] != 0; });
    if (error_) std::rethrow_exception(error_);
  }

  void mark_consumed(std::size_t item) {
    {
      const std::lock_guard lock(mutex_);
      done_[item % window_] = 0;
      consumed_ = item + 1;
    }
    can_work_.notify_one();
  }

  void stop() {
    {
      const std::lock_guard lock(mutex_);
      stopped_ = true;
    }
    can_work_.notify_all();
  }

 private:
  void finish(std::size_t item, const std::exception_ptr& error) {
    if (error) {
      if (!error_) error_ = error;
      stopped_ = true;
      can_work_.notify_all();
    } else {
      done_[item % window_] = 1;
    }
    can_consume_.notify_one();
  }

  const std::size_t count_;
  const std::size_t window_;
  const std::function<void(std::size_t)>& work_;
  std::mutex mutex_;
  std::condition_variable can_work_;
  std::condition_variable can_consume_;
  std::size_t next_ = 0;
  std::size_t consumed_ = 0;
  std::vector<std::uint8_t> done_;  // of item % window
  bool stopped_ = false;
  std::exception_ptr error_;
};

}  // namespace

unsigned thread_count(unsigned requested) {
  const unsigned wanted = requested != 0 ? requested : std::thread::hardware_concurrency();
  return std::clamp(wanted, 1u, 8u);
}

unsigned thread_count(unsigned requested, std::uint64_t bytes) {
  constexpr std::uint64_t worth_a_thread = std::uint64_t{1} << 20;
  const unsigned all = thread_count(requested);
  if (requested != 0 || bytes / worth_a_thread >= all) return all;
  return std::max(static_cast<unsigned>(bytes / worth_a_thread), 1u);
}

void parallel_for(std::size_t count, unsigned threads,
                  const std::function<void(std::size_t)>& work) {
  std::atomic<std::size_t> next{0};
  std::mutex error_mutex;
  std::exception_ptr error;
  const std::function<void()> body = [&] {
    try {
      for (std::size_t item = next++; item < count; item = next++) work(item);
    } catch (...) {
      next = count;
      const std::lock_guard lock(error_mutex);
      if (!error) error = std::current_exception();
    }
  };
  {
    const std::size_t useful = std::min<std::size_t>(std::max(threads, 1u), count);
    const auto helpers = start_threads(useful > 1 ? useful - 1 : 0, body);
    body();
  }
  if (error) std::rethrow_exception(error);
}

void parallel_ordered(std::size_t count, unsigned threads, std::size_t window,
                      const std::function<void(std::size_t)>& work,
                      const std::function<void(std::size_t)>& consume) {
  OrderedWork shared(count, std::max<std::size_t>(window, 1), work);
  const std::size_t useful = std::min<std::size_t>(threads, count);
  const auto workers = start_threads(useful > 1 ? useful : 0, [&] { shared.run(); });
  if (workers.empty()) {
    for (std::size_t i = 0; i < count; ++i) {
      work(i);
      consume(i);
    }
    return;
  }
  try {
    for (std::size_t i = 0; i < count; ++i) {
      shared.wait_for(i);
      consume(i);
      shared.mark_consumed(i);
    }
    shared.stop();
  } catch (...) {
    shared.stop();
    throw;  // `workers` joins
  }
}

}  // namespace ckp
