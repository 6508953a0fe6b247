// A file system on which saves stop at their beginning.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <utility>

#include "ckp/error.h"
#include "support/forwarding_file_system.h"

namespace ckp::test {

// Stops each save when it makes its temporary pack (under the store's lock), until it is let go on.
// Thread-safe.
class HeldFileSystem final : public ForwardingFileSystem {
 public:
  explicit HeldFileSystem(std::shared_ptr<FileSystem> base = posix_file_system())
      : ForwardingFileSystem(std::move(base)) {}

  void hold() { set_held(true); }
  // Until a save has been stopped since hold().
  void wait_for_a_save() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return waiting_; });
  }
  void let_go() { set_held(false); }
  // The next save fails.
  void fail_once() {
    const std::lock_guard lock(mutex_);
    fails_ = true;
  }

  std::unique_ptr<File> open(const std::filesystem::path& path, OpenMode mode) override {
    if (mode == OpenMode::create_new && path.extension() == ".tmp") begin_save();
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

  std::mutex mutex_;
  std::condition_variable changed_;
  bool held_ = false;
  bool waiting_ = false;
  bool fails_ = false;
};

}  // namespace ckp::test
