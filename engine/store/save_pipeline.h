// The background thread of a run's saves.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "ckp/save.h"
#include "store/save_job.h"

namespace ckp {

// Does the saves in the order in which they were given to it: one after the other, or small ones
// that have queued up as a group. One thread at a time calls it. In a forked child the object must
// not be touched, nor destroyed: its thread does not exist there.
class SavePipeline {
 public:
  // Does the work: fills the reports, and sets `error` of the jobs that fail. Must not throw.
  using CarryOut = std::function<void(std::span<SaveJob>)>;
  // What is done when saves have ended, and before the next. Must not throw.
  using TidyUp = std::function<void()>;
  // `memory`: how many bytes saves in flight may hold together.
  SavePipeline(std::uint64_t memory, CarryOut carry_out, TidyUp tidy_up)
      : memory_(memory), carry_out_(std::move(carry_out)), tidy_up_(std::move(tidy_up)) {}
  // Waits for everything.
  ~SavePipeline();
  SavePipeline(const SavePipeline&) = delete;
  SavePipeline& operator=(const SavePipeline&) = delete;

  // Waits until `bytes` more may be held, or nothing is in flight. False when `options` do not
  // allow to wait that long.
  bool wait_for_room(std::uint64_t bytes, const SaveOptions& options);

  // A save is about to be made: its error is one of those for take_error.
  void announce(std::shared_ptr<PendingSave::State> save);
  // It will not be: somebody else tells the error.
  void withdraw(const std::shared_ptr<PendingSave::State>& save) noexcept;

  // Of a save that was announced. What the job has planned is destroyed before the save counts as
  // ended, and with it the bytes that it holds. Without a thread to be had it is done at once.
  // Throws nothing but std::bad_alloc, and then nothing has been queued.
  void start(SaveJob job);

  // Waits until nothing is in flight.
  void drain();
  // Of saves that have ended, the first error that nobody has seen.
  std::exception_ptr take_error();

 private:
  void run();
  void take_group();
  void carry_out(std::span<SaveJob> jobs) noexcept;

  const std::uint64_t memory_;
  const CarryOut carry_out_;
  const TidyUp tidy_up_;
  std::mutex mutex_;
  std::condition_variable queued_, ended_;
  std::deque<SaveJob> queue_;
  std::vector<SaveJob> group_;  // the thread's
  bool working_ = false;        // on the group
  bool tidying_ = false;        // after it: nobody waits for room
  std::uint64_t held_ = 0;      // bytes
  bool stopping_ = false;
  // All that were announced, until they have ended well.
  std::vector<std::shared_ptr<PendingSave::State>> announced_;
  std::thread thread_;
};

}  // namespace ckp
