// Counts verified bytes for the caller's progress and cancellation.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>

#include "ckp/verify.h"

namespace ckp {

// Thread-safe.
class ProgressCounter {
 public:
  ProgressCounter(const VerifyOptions& options, std::uint64_t total)
      : options_(options), total_(total) {}

  // Adds bytes; false when the caller wants to stop.
  bool add(std::uint64_t bytes) {
    done_ += bytes;
    if (options_.cancelled && options_.cancelled()) cancelled_ = true;
    const std::unique_lock guard(mutex_, std::try_to_lock);
    if (guard && options_.progress) tell();
    return !cancelled_;
  }
  bool cancelled() const { return cancelled_; }
  std::uint64_t done() const { return done_; }

 private:
  void tell() {
    const auto now = std::chrono::steady_clock::now();
    if (now - last_ < std::chrono::milliseconds(200)) return;
    last_ = now;
    options_.progress({done_, total_});
  }

  const VerifyOptions& options_;
  std::uint64_t total_;
  std::atomic<std::uint64_t> done_{0};
  std::atomic<bool> cancelled_{false};
  std::mutex mutex_;
  std::chrono::steady_clock::time_point last_{};
};

}  // namespace ckp
