#include "store/save_pipeline.h"

#include <chrono>
#include <system_error>

namespace ckp {

SavePipeline::~SavePipeline() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  queued_.notify_all();
  if (thread_.joinable()) thread_.join();
}

bool SavePipeline::wait_for_room(std::uint64_t bytes, const SaveOptions& options) {
  std::unique_lock lock(mutex_);
  const auto has_room = [&] {
    return queue_.empty() || (held_ <= memory_ && bytes <= memory_ - held_);
  };
  if (options.when_busy == WhenBusy::skip) return has_room();
  if (options.busy_timeout_ms >= 0) {
    return ended_.wait_for(lock, std::chrono::milliseconds(options.busy_timeout_ms), has_room);
  }
  ended_.wait(lock, has_room);
  return true;
}

void SavePipeline::start(std::shared_ptr<PendingSave::State> save, std::uint64_t bytes,
                         std::function<void(SaveReport&)> work) {
  std::erase_if(started_, [](const auto& other) {
    return other->is_done() && (other->error == nullptr || other->reported);
  });
  started_.push_back(save);
  Entry entry{std::move(save), bytes, std::move(work)};
  try {
    if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
  } catch (const std::system_error&) {
    return carry_out(entry);  // none to be had: nothing is in flight either
  } catch (...) {
    started_.pop_back();
    throw;
  }
  try {
    const std::lock_guard lock(mutex_);
    queue_.push_back(std::move(entry));
    held_ += bytes;
  } catch (...) {
    started_.pop_back();
    throw;
  }
  queued_.notify_one();
}

void SavePipeline::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    queued_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
    if (queue_.empty()) return;
    Entry& entry = queue_.front();  // stays where it is: only this thread removes
    lock.unlock();
    carry_out(entry);
    lock.lock();
    held_ -= entry.bytes;
    queue_.pop_front();
    ended_.notify_all();
  }
}

void SavePipeline::carry_out(Entry& entry) noexcept {
  std::exception_ptr error;
  try {
    entry.work(entry.save->report);
  } catch (...) {
    error = std::current_exception();
  }
  entry.work = nullptr;
  entry.save->finish(std::move(error));
}

void SavePipeline::drain() {
  std::unique_lock lock(mutex_);
  ended_.wait(lock, [&] { return queue_.empty(); });
}

std::exception_ptr SavePipeline::take_error() {
  for (const auto& save : started_) {
    if (auto error = save->take_error()) return error;
  }
  return nullptr;
}

}  // namespace ckp
