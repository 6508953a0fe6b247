#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "ckp/file_system.h"
#include "ckp/format/wire.h"
#include "io/posix_error.h"
#include "io/posix_options.h"
#include "support/child_process.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace ckp {
namespace {

using format::as_bytes;
using test::expect_error;
using test::TemporaryDirectory;

std::string contents(const File& file) {
  std::string text(file.status().size, '\0');
  const auto out = std::as_writable_bytes(std::span(text));
  text.resize(file.read_at(0, out));
  return text;
}

class PosixFileSystemTest : public testing::Test {
 protected:
  std::unique_ptr<File> make(const std::string& name, std::string_view text) {
    auto file = fs_->open(dir_ / name, OpenMode::create_new);
    file->write_at(0, as_bytes(text));
    return file;
  }

  TemporaryDirectory dir_;
  std::shared_ptr<FileSystem> fs_ = posix_file_system();
};

// Opening a pipe would wait for somebody at its other end.
TEST_F(PosixFileSystemTest, WhatIsNoFileIsRefusedByName) {
  std::filesystem::create_directory(dir_ / "directory");
  ASSERT_EQ(::mkfifo((dir_ / "pipe").c_str(), 0600), 0);
  for (const auto mode : {OpenMode::read, OpenMode::read_write, OpenMode::create}) {
    expect_error(ErrorCode::corrupt, "directory: is a directory",
                 [&] { fs_->open(dir_ / "directory", mode); });
    expect_error(ErrorCode::corrupt, "pipe: is a pipe", [&] { fs_->open(dir_ / "pipe", mode); });
  }
}

TEST_F(PosixFileSystemTest, WritesAndReads) {
  const auto file = make("a", "hello");
  file->write_at(7, as_bytes("there"));
  EXPECT_EQ(contents(*file), std::string("hello\0\0there", 12));
  std::array<std::byte, 8> out{};
  EXPECT_EQ(file->read_at(7, out), 5u);
  EXPECT_EQ(file->read_at(100, out), 0u);
  file->truncate(2);
  EXPECT_EQ(contents(*file), "he");
  file->sync();
  file->close();
  expect_error(ErrorCode::invalid_argument, "it is closed", [&] { file->sync(); });
}

TEST_F(PosixFileSystemTest, OpenModes) {
  expect_error(ErrorCode::not_found, "cannot open " + (dir_ / "a").string() + ": No such file",
               [&] { (void)fs_->open(dir_ / "a", OpenMode::read); });
  expect_error(ErrorCode::not_found, "cannot open",
               [&] { (void)fs_->open(dir_ / "a", OpenMode::read_write); });
  fs_->open(dir_ / "a", OpenMode::create)->write_at(0, as_bytes("x"));
  EXPECT_EQ(contents(*fs_->open(dir_ / "a", OpenMode::create)), "x");
  expect_error(ErrorCode::already_exists, "cannot create",
               [&] { (void)fs_->open(dir_ / "a", OpenMode::create_new); });
}

TEST_F(PosixFileSystemTest, Status) {
  const auto file = make("a", "12345");
  const std::optional<FileStatus> status = fs_->status(dir_ / "a");
  ASSERT_TRUE(status);
  EXPECT_EQ(status->size, 5u);
  EXPECT_EQ(status->links, 1u);
  EXPECT_FALSE(status->is_directory);
  EXPECT_EQ(status->inode, file->status().inode);
  EXPECT_GT(status->modified_ns, 0);
  EXPECT_TRUE(fs_->status(dir_.path())->is_directory);
  EXPECT_FALSE(fs_->status(dir_ / "none"));
  EXPECT_FALSE(fs_->status(dir_ / "a" / "below a file"));
  fs_->remove(dir_ / "a");
  EXPECT_EQ(file->status().links, 0u);
}

TEST_F(PosixFileSystemTest, DirectoriesAreListedSortedAndRemoved) {
  EXPECT_TRUE(fs_->make_directory(dir_ / "d"));
  EXPECT_FALSE(fs_->make_directory(dir_ / "d"));
  make("d/b", "");
  make("d/a", "");
  EXPECT_EQ(fs_->list(dir_ / "d"), (std::vector<std::string>{"a", "b"}));
  fs_->sync_directory(dir_ / "d");
  expect_error(ErrorCode::already_exists, "Directory not empty", [&] { fs_->remove(dir_ / "d"); });
  EXPECT_TRUE(fs_->remove(dir_ / "d/a"));
  EXPECT_FALSE(fs_->remove(dir_ / "d/a"));
  EXPECT_TRUE(fs_->remove(dir_ / "d/b"));
  EXPECT_TRUE(fs_->remove(dir_ / "d"));
  expect_error(ErrorCode::not_found, "cannot list", [&] { (void)fs_->list(dir_ / "d"); });
  expect_error(ErrorCode::not_found, "cannot open the directory",
               [&] { fs_->sync_directory(dir_ / "d"); });
  make("file", "");
  expect_error(ErrorCode::already_exists, "cannot make the directory",
               [&] { fs_->make_directory(dir_ / "file"); });
}

// One suite for each way of renaming: the kernel's, by hard links, and by looking first.
class RenameTest : public PosixFileSystemTest, public testing::WithParamInterface<PosixOptions> {
 protected:
  void SetUp() override { fs_ = posix_file_system(GetParam()); }
};

TEST_P(RenameTest, NeverReplacesUnlessAsked) {
  make("a", "A");
  make("b", "B");
  expect_error(ErrorCode::already_exists,
               "cannot rename " + (dir_ / "a").string() + " to " + (dir_ / "b").string(),
               [&] { fs_->rename(dir_ / "a", dir_ / "b"); });
  EXPECT_EQ(contents(*fs_->open(dir_ / "b", OpenMode::read)), "B");
  fs_->rename(dir_ / "a", dir_ / "c");
  EXPECT_EQ(fs_->list(dir_.path()), (std::vector<std::string>{"b", "c"}));
  fs_->rename(dir_ / "c", dir_ / "b", true);
  EXPECT_EQ(contents(*fs_->open(dir_ / "b", OpenMode::read)), "A");
  expect_error(ErrorCode::not_found, "cannot rename",
               [&] { fs_->rename(dir_ / "none", dir_ / "d"); });
}

TEST_P(RenameTest, RenamesDirectories) {
  fs_->make_directory(dir_ / "d");
  fs_->rename(dir_ / "d", dir_ / "e");
  EXPECT_EQ(fs_->list(dir_.path()), std::vector<std::string>{"e"});
}

INSTANTIATE_TEST_SUITE_P(Ways, RenameTest,
                         testing::Values(PosixOptions{}, PosixOptions{.rename_noreplace = false},
                                         PosixOptions{.rename_noreplace = false,
                                                      .hard_links = false}));

TEST_F(PosixFileSystemTest, LocksConflictBetweenTwoOpens) {
  const auto a = fs_->open(dir_ / "lock", OpenMode::create);
  const auto b = fs_->open(dir_ / "lock", OpenMode::create);
  EXPECT_TRUE(a->lock(7, LockKind::exclusive, false));
  EXPECT_TRUE(a->lock(7, LockKind::exclusive, false));  // its own does not hinder it
  EXPECT_FALSE(b->lock(7, LockKind::exclusive, false));
  EXPECT_FALSE(b->lock(7, LockKind::shared, false));
  EXPECT_TRUE(b->lock(8, LockKind::exclusive, false));  // another byte
  EXPECT_TRUE(a->lock(7, LockKind::shared, false));     // turned into a shared one
  EXPECT_TRUE(b->lock(7, LockKind::shared, false));
  EXPECT_FALSE(b->lock(7, LockKind::exclusive, false));
  a->unlock(7);
  EXPECT_TRUE(b->lock(7, LockKind::exclusive, false));
}

TEST_F(PosixFileSystemTest, ALockEndsWithItsFile) {
  auto a = fs_->open(dir_ / "lock", OpenMode::create);
  const auto b = fs_->open(dir_ / "lock", OpenMode::read);
  EXPECT_TRUE(a->lock(0, LockKind::exclusive, false));
  EXPECT_FALSE(b->lock(0, LockKind::shared, false));
  a.reset();
  EXPECT_TRUE(b->lock(0, LockKind::shared, false));
}

// Whether a process sleeps, waiting for something.
bool sleeps(pid_t process) {
  std::ifstream file("/proc/" + std::to_string(process) + "/stat");
  std::string text;
  std::getline(file, text);
  const std::size_t end_of_name = text.rfind(')');
  return end_of_name != std::string::npos && text.substr(end_of_name + 2, 1) == "S";
}

// Waiting goes on when signals interrupt it.
TEST_F(PosixFileSystemTest, AWaitForALockOutlivesSignals) {
  struct sigaction action {};
  struct sigaction before {};
  action.sa_handler = [](int) {};  // no SA_RESTART: the call ends with EINTR
  ASSERT_EQ(::sigaction(SIGUSR1, &action, &before), 0);
  const test::Gate held;
  const test::Gate waiting;
  test::ChildProcess holder([&] {
    const auto file = fs_->open(dir_ / "lock", OpenMode::create);
    file->lock(0, LockKind::exclusive, false);
    held.open();
    waiting.pass();
    for (int i = 0; i < 3; ++i) {
      while (!sleeps(::getppid())) ::sched_yield();
      ::kill(::getppid(), SIGUSR1);
    }
    return 0;
  });
  held.pass();
  const auto file = fs_->open(dir_ / "lock", OpenMode::create);
  waiting.open();
  EXPECT_TRUE(file->lock(0, LockKind::exclusive, true));
  EXPECT_EQ(holder.wait(), 0);
  ::sigaction(SIGUSR1, &before, nullptr);
}

TEST_F(PosixFileSystemTest, AFullDiskSaysWhatToDo) {
  const auto file = fs_->open("/dev/full", OpenMode::read_write);
  expect_error(ErrorCode::out_of_space,
               "cannot write /dev/full: No space left on device; free some space or prune the "
               "store, nothing that was saved before is affected",
               [&] { file->write_at(0, as_bytes("x")); });
  expect_error(ErrorCode::io, "an earlier operation on it failed: cannot write /dev/full",
               [&] { file->write_at(0, as_bytes("x")); });
  expect_error(ErrorCode::io, "cannot sync /dev/full: an earlier operation on it failed",
               [&] { file->sync(); });
}

// A child with a limit of 10,000 bytes a file: the kernel first writes a part of what was asked.
TEST_F(PosixFileSystemTest, AWriteThatStopsHalfWayCanBeCutOff) {
  test::ChildProcess child([&] {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{10'000, 10'000};
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return 1;
    const auto file = make("a", "kept");
    const std::string big(20'000, 'x');
    try {
      file->write_at(4, as_bytes(big));
      return 2;
    } catch (const Error& error) {
      if (error.code() != ErrorCode::out_of_space) return 3;
      if (std::string(error.what()).find("File too large; raise the limit") == std::string::npos) {
        return 4;
      }
    }
    if (file->status().size != 10'000) return 5;
    try {
      file->write_at(4, as_bytes("y"));
      return 6;
    } catch (const Error&) {
    }
    file->truncate(4);
    file->write_at(4, as_bytes("!"));
    file->sync();
    return 0;
  });
  EXPECT_EQ(child.wait(), 0);
  EXPECT_EQ(contents(*fs_->open(dir_ / "a", OpenMode::read)), "kept!");
}

TEST_F(PosixFileSystemTest, AFileOpenedForReadingCannotBeWritten) {
  make("a", "x");
  const auto file = fs_->open(dir_ / "a", OpenMode::read);
  expect_error(ErrorCode::io, "cannot write", [&] { file->write_at(0, as_bytes("y")); });
}

TEST_F(PosixFileSystemTest, ReserveKeepsTheSize) {
  const auto file = make("a", "x");
  file->reserve(0, 1u << 20);
  file->reserve(0, 0);
  EXPECT_EQ(file->status().size, 1u);
}

TEST_F(PosixFileSystemTest, DescriptorsDoNotReachOtherPrograms) {
  const auto a = make("a", "x");
  const auto b = fs_->open(dir_ / "a", OpenMode::read);
  const std::string command =
      "ls -l /proc/self/fd | grep -q " + (dir_ / "a").string() + " && exit 1; exit 0";
  EXPECT_EQ(std::system(command.c_str()), 0);
}

TEST(PosixError, EveryKindOfErrno) {
  for (const int error : {ENOSPC, EDQUOT, EFBIG}) {
    EXPECT_EQ(code_of_errno(error), ErrorCode::out_of_space);
    EXPECT_NE(describe_errno("write", "p", error).find("nothing that was saved before is affected"),
              std::string::npos);
  }
  for (const int error : {EROFS, EACCES, EPERM}) {
    EXPECT_EQ(code_of_errno(error), ErrorCode::read_only);
  }
  for (const int error : {EMFILE, ENFILE, ENOMEM}) {
    EXPECT_EQ(code_of_errno(error), ErrorCode::out_of_resources);
    EXPECT_NE(describe_errno("open", "p", error).find("ulimit"), std::string::npos);
  }
  EXPECT_EQ(code_of_errno(ENOENT), ErrorCode::not_found);
  EXPECT_EQ(code_of_errno(EEXIST), ErrorCode::already_exists);
  EXPECT_EQ(code_of_errno(EIO), ErrorCode::io);
  EXPECT_EQ(describe_errno("create", "/a/b", EROFS),
            "cannot create /a/b: Read-only file system; the file system is mounted read-only, "
            "choose another place or remount it");
  EXPECT_NE(describe_errno("lock", "p", ENOLCK).find("mount it with locking"), std::string::npos);
}

TEST_F(PosixFileSystemTest, FileSourceRefusesToReadBeyondTheEnd) {
  make("a", "12345");
  const FileSource source(fs_->open(dir_ / "a", OpenMode::read));
  EXPECT_EQ(source.size(), 5u);
  EXPECT_EQ(source.name(), (dir_ / "a").string());
  std::array<std::byte, 3> out{};
  source.read(2, out);
  EXPECT_EQ(std::to_integer<char>(out[2]), '5');
  expect_error(ErrorCode::corrupt, "3 bytes wanted at offset 3, but the file has 5 bytes",
               [&] { source.read(3, out); });
  expect_error(ErrorCode::corrupt, "but the file has 5 bytes",
               [&] { source.read(~std::uint64_t{0}, out); });
  fs_->open(dir_ / "a", OpenMode::read_write)->truncate(3);
  expect_error(ErrorCode::corrupt, "the file became shorter", [&] { source.read(2, out); });
}

}  // namespace
}  // namespace ckp
