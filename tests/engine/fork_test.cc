// Files across fork(): a child never keeps, breaks or uses what its parent holds.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "ckp/file_system.h"
#include "ckp/format/wire.h"
#include "io/fork_guard.h"
#include "support/child_process.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace ckp {
namespace {

using format::as_bytes;
using test::ChildProcess;
using test::Gate;
using test::TemporaryDirectory;

class ForkTest : public testing::Test {
 protected:
  std::unique_ptr<File> open() { return fs_->open(dir_ / "lock", OpenMode::create); }
  // Whether nobody holds the lock.
  bool is_free() { return open()->lock(0, LockKind::exclusive, false); }

  // How many descriptors of this process lead to the lock file. By system calls alone: the child of
  // a process with threads may not allocate, another thread may have held the allocator's lock.
  int descriptors() const {
    struct stat lock {};
    if (::stat(lock_path_.c_str(), &lock) != 0) return -1;
    int count = 0;
    for (int i = 0; i < 1024; ++i) {
      struct stat opened {};
      if (::fstat(i, &opened) == 0 && opened.st_dev == lock.st_dev &&
          opened.st_ino == lock.st_ino) {
        ++count;
      }
    }
    return count;
  }

  TemporaryDirectory dir_;
  const std::string lock_path_ = dir_ / "lock";
  std::shared_ptr<FileSystem> fs_ = posix_file_system();
};

TEST_F(ForkTest, AChildThatExitsLeavesTheLock) {
  auto file = open();
  ASSERT_TRUE(file->lock(0, LockKind::exclusive, false));
  ChildProcess child([&] {
    file.reset();  // the destructor in the child
    return 0;
  });
  EXPECT_EQ(child.wait(), 0);
  EXPECT_FALSE(is_free());
  file->write_at(0, as_bytes("still usable"));
  // Given back at once, also while some child has not closed its copy yet.
  file.reset();
  EXPECT_TRUE(is_free());
}

TEST_F(ForkTest, TheLockOfADeadParentIsFreeWhileItsChildLives) {
  const Gate forked;
  const Gate end;
  ChildProcess parent([&] {
    const auto file = open();
    file->lock(0, LockKind::exclusive, false);
    const ChildProcess worker([&] {
      forked.open();
      end.pass();
      return 0;
    });
    Gate().pass();  // until killed
    return 0;
  });
  forked.pass();
  EXPECT_FALSE(is_free());
  parent.kill();
  EXPECT_EQ(parent.wait(), -SIGKILL);
  EXPECT_TRUE(is_free());
  end.open();
}

TEST_F(ForkTest, EveryCallInTheChildSaysWhy) {
  const auto file = open();
  ChildProcess child([&] {
    std::vector<std::byte> bytes(1);
    int wrong = 0;
    const auto refused = [&](auto call) {
      try {
        call();
        ++wrong;
      } catch (const Error& error) {
        const bool says = std::string(error.what()).find("forked") != std::string::npos;
        if (error.code() != ErrorCode::invalid_argument || !says) ++wrong;
      }
    };
    refused([&] { file->write_at(0, bytes); });
    refused([&] { (void)file->read_at(0, bytes); });
    refused([&] { file->sync(); });
    refused([&] { file->truncate(0); });
    refused([&] { file->reserve(0, 1); });
    refused([&] { (void)file->status(); });
    refused([&] { file->lock(0, LockKind::shared, false); });
    refused([&] { file->unlock(0); });
    refused([&] { file->close(); });
    return wrong;
  });
  EXPECT_EQ(child.wait(), 0);
}

TEST_F(ForkTest, AChildUsesItsOwnFilesAndReadsInheritedOnes) {
  open()->write_at(0, as_bytes("x"));
  const auto inherited = fs_->open(dir_ / "lock", OpenMode::read);
  ChildProcess child([&] {
    std::vector<std::byte> bytes(1);
    if (inherited->read_at(0, bytes) != 1) return 1;
    const auto own = open();
    if (!own->lock(0, LockKind::exclusive, false)) return 2;
    own->write_at(0, as_bytes("y"));
    // A grandchild has lost the child's file, too.
    ChildProcess grandchild([&] {
      try {
        own->write_at(0, as_bytes("z"));
        return 1;
      } catch (const Error&) {
        return 0;
      }
    });
    return grandchild.wait() == 0 ? 0 : 3;
  });
  EXPECT_EQ(child.wait(), 0);
}

TEST_F(ForkTest, AFileOpenedForReadingIsGuardedOnceItIsLocked) {
  open();
  const auto file = fs_->open(dir_ / "lock", OpenMode::read);
  EXPECT_EQ(ChildProcess([&] { return descriptors(); }).wait(), 1);
  ASSERT_TRUE(file->lock(0, LockKind::shared, false));
  EXPECT_EQ(ChildProcess([&] { return descriptors(); }).wait(), 0);
  EXPECT_EQ(descriptors(), 1);
}

// Also before the first file of a process: alone in its process, as ctest runs it, nothing has been
// opened here.
TEST_F(ForkTest, TheVeryFirstFileIsWaitedFor) {
  std::atomic<bool> held = true, forked = false;
  std::atomic<pid_t> thread = 0;
  std::jthread forker;
  {
    const ForkGuarded::Section opening;
    forker = std::jthread([&] {
      thread = ::gettid();
      ChildProcess child([&] { return held ? 1 : 0; });
      forked = true;
      EXPECT_EQ(child.wait(), 0) << "forked while a file was being opened";
    });
    // Until it sleeps, which it does for this section, or has not waited.
    const auto waits = [&] {
      std::ifstream file("/proc/self/task/" + std::to_string(thread) + "/stat");
      std::string id, name, state;
      return thread != 0 && file >> id >> name >> state && state == "S";
    };
    while (!waits() && !forked) std::this_thread::yield();
    held = false;
  }
}

// One thread opens, locks and closes all the time while another forks.
TEST_F(ForkTest, NoForkComesBetweenOpeningAndEnrolling) {
  open();
  std::jthread locker([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) EXPECT_TRUE(is_free());
  });
  for (int i = 0; i < 200; ++i) {
    EXPECT_EQ(ChildProcess([&] { return descriptors(); }).wait(), 0);
  }
}

}  // namespace
}  // namespace ckp
