// A file system on which saves stop at their beginning.
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <utility>

#include "ckp/error.h"
#include "ckp/save.h"
#include "support/forwarding_file_system.h"

namespace ckp::test {

// Stops each save until it is let go on. Thread-safe.
class HeldFileSystem final : public ForwardingFileSystem {
 public:
  enum class Where {
    temporary_pack,  // when it is made, under the store's lock
    store_lock,      // before anything else is done, and whoever else wants the lock
  };
  explicit HeldFileSystem(std::shared_ptr<FileSystem> base = posix_file_system(),
                          Where where = Where::temporary_pack)
      : ForwardingFileSystem(std::move(base)), where_(where) {}

  void hold() { set_held(true); }
  // Until a save has been stopped since hold(), or this one has failed before.
  void wait_for(const PendingSave& save) {
    std::unique_lock lock(mutex_);
    while (!changed_.wait_for(lock, std::chrono::milliseconds(1),
                              [&] { return waiting_ || save.done(); })) {
    }
  }
  void let_go() { set_held(false); }
  // The next save fails.
  void fail_once() {
    const std::lock_guard lock(mutex_);
    fails_ = true;
  }

  std::unique_ptr<File> open(const std::filesystem::path& path, OpenMode mode) override {
    const bool is_here = where_ == Where::store_lock
                             ? path.filename() == "lock"
                             : mode == OpenMode::create_new && path.extension() == ".tmp";
    if (is_here) begin_save();
    return ForwardingFileSystem::open(path, mode);
  }

 private:
  void set_held(bool held) {
    {
      const std::lock_guard lock(mutex_);
      held_ = held;
      waiting_ = false;
    }
    changed_.notify_all();
  }
  void begin_save() {
    std::unique_lock lock(mutex_);
    waiting_ = true;
    changed_.notify_all();
    changed_.wait(lock, [&] { return !held_; });
    if (std::exchange(fails_, false)) throw Error(ErrorCode::out_of_space, "the disk is full");
  }

  const Where where_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool held_ = false;
  bool waiting_ = false;
  bool fails_ = false;
};

}  // namespace ckp::test
