// A clock at which saves stop.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

#include "ckp/clock.h"
#include "ckp/error.h"

namespace ckp::test {

// Stops every thread but its maker's that asks for the time: a lazy save does so before it looks at
// the state. Thread-safe.
class HeldClock final : public Clock {
 public:
  std::int64_t now_ns() override {
    std::unique_lock lock(mutex_);
    if (std::this_thread::get_id() == maker_) return ++time_;
    changed_.wait(lock, [&] { return !held_; });
    if (std::exchange(fails_, false)) throw Error(ErrorCode::io, "no time");
    return ++time_;
  }
  void hold() { set_held(true); }
  void let_go() { set_held(false); }
  void fail_once() {
    const std::lock_guard lock(mutex_);
    fails_ = true;
  }

 private:
  void set_held(bool held) {
    {
      const std::lock_guard lock(mutex_);
      held_ = held;
    }
    changed_.notify_all();
  }

  const std::thread::id maker_ = std::this_thread::get_id();
  std::mutex mutex_;
  std::condition_variable changed_;
  std::int64_t time_ = 0;
  bool held_ = false;
  bool fails_ = false;
};

}  // namespace ckp::test
