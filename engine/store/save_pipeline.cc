#include "store/save_pipeline.h"

#include <chrono>
#include <system_error>

namespace ckp {
namespace {

// A group's saves become durable together: so much that the first does not wait long for the last,
// and a commit costs each of them little.
constexpr std::uint64_t largest_group_bytes = 16u << 20;
constexpr std::size_t largest_group = 64;

}  // namespace

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
    const bool idle = queue_.empty() && !working_;
    return idle || (held_ <= memory_ && bytes <= memory_ - held_);
  };
  if (options.when_busy == WhenBusy::skip) return has_room();
  if (options.busy_timeout_ms >= 0) {
    return ended_.wait_for(lock, std::chrono::milliseconds(options.busy_timeout_ms), has_room);
  }
  ended_.wait(lock, has_room);
  return true;
}

void SavePipeline::announce(std::shared_ptr<PendingSave::State> save) {
  std::erase_if(announced_, [](const auto& other) {
    return other->is_done() && (other->error == nullptr || other->reported);
  });
  announced_.push_back(std::move(save));
}

void SavePipeline::withdraw(const std::shared_ptr<PendingSave::State>& save) noexcept {
  std::erase(announced_, save);
}

void SavePipeline::start(SaveJob job) {
  try {
    if (!thread_.joinable()) {
      group_.reserve(largest_group);  // on the thread a failure would end the process
      thread_ = std::thread([this] { run(); });
    }
  } catch (const std::system_error&) {
    carry_out(std::span(&job, 1));  // none to be had: nothing is in flight either
    return tidy_up_();
  }
  {
    const std::lock_guard lock(mutex_);
    const std::uint64_t bytes = job.bytes;
    queue_.push_back(std::move(job));
    held_ += bytes;
  }
  queued_.notify_one();
}

void SavePipeline::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    queued_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
    if (queue_.empty()) return;
    take_group();
    working_ = true;
    lock.unlock();
    carry_out(group_);
    lock.lock();
    working_ = false;
    for (const SaveJob& job : group_) held_ -= job.bytes;
    group_.clear();
    tidying_ = true;
    ended_.notify_all();
    lock.unlock();
    tidy_up_();
    lock.lock();
    tidying_ = false;
    ended_.notify_all();
  }
}

void SavePipeline::take_group() {
  std::uint64_t bytes = 0;
  do {
    bytes += queue_.front().bytes;
    group_.push_back(std::move(queue_.front()));
    queue_.pop_front();
  } while (!queue_.empty() && group_.size() < largest_group && group_.back().may_share_a_commit() &&
           queue_.front().may_share_a_commit() &&
           bytes + queue_.front().bytes <= largest_group_bytes);
}

void SavePipeline::carry_out(std::span<SaveJob> jobs) noexcept {
  carry_out_(jobs);
  for (SaveJob& job : jobs) job.planned.reset();
  for (SaveJob& job : jobs) job.save->finish(std::move(job.error));
}

void SavePipeline::drain() {
  std::unique_lock lock(mutex_);
  ended_.wait(lock, [&] { return queue_.empty() && !working_ && !tidying_; });
}

std::exception_ptr SavePipeline::take_error() {
  for (const auto& save : announced_) {
    if (auto error = save->take_error()) return error;
  }
  return nullptr;
}

}  // namespace ckp
