// Counts verified bytes for the caller's progress, cancellation and time limit.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>

#include "ckp/verify.h"

namespace ckp {

// Thread-safe; calls the caller's functions from one thread at a time.
class ProgressCounter {
 public:
  // `options` outlives it.
  ProgressCounter(const VerifyOptions& options, std::uint64_t total)
      : options_(options), total_(total), started_(Clock::now()) {}

  // Adds bytes; false when it is time to stop.
  bool add(std::uint64_t bytes) {
    done_ += bytes;
    const std::unique_lock guard(mutex_, std::try_to_lock);
    if (guard) look_up();
    return !stopped_;
  }
  bool stopped() const { return stopped_; }
  bool timed_out() const { return timed_out_; }
  std::uint64_t done() const { return done_; }
  std::uint64_t total() const { return total_; }

 private:
  using Clock = std::chrono::steady_clock;

  void look_up() {
    if (options_.cancelled && options_.cancelled()) stopped_ = true;
    const auto now = Clock::now();
    if (options_.max_duration.count() > 0 && now - started_ >= options_.max_duration) {
      timed_out_ = stopped_ = true;
    }
    if (!options_.progress || now - told_ < std::chrono::milliseconds(200)) return;
    told_ = now;
    options_.progress({done_, total_});
  }

  const VerifyOptions& options_;
  const std::uint64_t total_;
  const Clock::time_point started_;
  Clock::time_point told_{};
  std::atomic<std::uint64_t> done_{0};
  std::atomic<bool> stopped_{false}, timed_out_{false};
  std::mutex mutex_;
};

}  // namespace ckp
