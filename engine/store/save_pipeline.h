// The background thread of a run's saves.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "ckp/save.h"
#include "save/save_state.h"

namespace ckp {

// Does one save after the other, in the order in which they were given to it. The calls are for one
// thread, the owner's. In a forked child the object must not be touched, nor destroyed: its thread
// does not exist there.
class SavePipeline {
 public:
  // `memory`: how many bytes saves in flight may hold together.
  explicit SavePipeline(std::uint64_t memory) : memory_(memory) {}
  // Waits for everything.
  ~SavePipeline();
  SavePipeline(const SavePipeline&) = delete;
  SavePipeline& operator=(const SavePipeline&) = delete;

  // Waits until `bytes` more may be held, or nothing is in flight. False when `options` do not
  // allow to wait that long.
  bool wait_for_room(std::uint64_t bytes, const SaveOptions& options);

  // `work` fills the report or throws; it is destroyed before the save counts as ended, and with it
  // the `bytes` that it holds. Without a thread to be had it is done at once. Throws nothing but
  // std::bad_alloc, and then nothing has been queued.
  void start(std::shared_ptr<PendingSave::State> save, std::uint64_t bytes,
             std::function<void(SaveReport&)> work);

  // Waits until nothing is in flight.
  void drain();
  // Of saves that have ended, the first error that nobody has seen.
  std::exception_ptr take_error();

 private:
  struct Entry {
    std::shared_ptr<PendingSave::State> save;
    std::uint64_t bytes = 0;
    std::function<void(SaveReport&)> work;
  };
  void run();
  static void carry_out(Entry& entry) noexcept;

  const std::uint64_t memory_;
  std::mutex mutex_;
  std::condition_variable queued_, ended_;
  std::deque<Entry> queue_;  // the first is being worked on
  std::uint64_t held_ = 0;   // bytes
  bool stopping_ = false;
  // The owner's: all that were started, until they have ended well.
  std::vector<std::shared_ptr<PendingSave::State>> started_;
  std::thread thread_;
};

}  // namespace ckp
