// What the handle of a save shares with whoever does the work.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>

#include "ckp/save.h"

namespace ckp {

// `report` and `error` belong to the worker until it calls finish(), and never change afterwards.
struct PendingSave::State {
  State();
  bool is_done() const { return done.load(std::memory_order_acquire); }
  void finish(std::exception_ptr failure) noexcept;
  // From hold_memory() to let_go_of_memory(), or the end, the state's memory is not the caller's.
  void hold_memory() { holds_memory = true; }
  void let_go_of_memory() noexcept;
  void wait();
  void wait_copied() noexcept;
  // Hands the error to one of those who would report it. Nothing when there is none, or when it
  // was handed out before.
  std::exception_ptr take_error();

  SaveReport report;
  std::exception_ptr error;
  std::atomic<bool> reported = false;

 private:
  const std::uint32_t creator_pid;
  std::atomic<bool> done = false;
  bool holds_memory = false;  // guarded once the save is under way
  std::mutex mutex;
  std::condition_variable ended;  // or copied
};

}  // namespace ckp
