// A failed fsync is final: Linux may mark the pages clean although they never reached the disk, so
// that a second fsync would succeed and mean nothing.
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>

#include "ckp/error.h"
#include "ckp/format/wire.h"
#include "faults/store_oracle.h"
#include "support/child_process.h"
#include "support/memory_directory.h"
#include "support/small_state.h"
#include "support/temporary_directory.h"

namespace ckp {
namespace {

using test::ChildProcess;

// From here on every fsync and fdatasync of this process fails with EIO, on all of its threads.
// There is no way back: for child processes. False where the kernel has no such filters.
bool break_fsync() {
  std::array<sock_filter, 5> program = {{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fsync, 1, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fdatasync, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EIO),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  }};
  const sock_fprog filter{.len = program.size(), .filter = program.data()};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter) == 0;
}

constexpr int no_filter = 77;

// Whether `call` throws Error(io) with `part` in its message.
template <class Call>
bool fails(const char* part, Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error.code() == ErrorCode::io &&
           std::string(error.what()).find(part) != std::string::npos;
  }
  return false;
}

class FailedFsyncTest : public testing::Test {
 protected:
  std::filesystem::path path() const { return directory_ / "store"; }
  const test::TemporaryDirectory directory_{test::memory_directory()};
};

TEST_F(FailedFsyncTest, TheHandleIsPoisonedAndANewOneIsNot) {
  const auto fs = posix_file_system();
  ChildProcess child([&] {
    const auto file = fs->open(directory_ / "file", OpenMode::create);
    file->write_at(0, format::as_bytes("first"));
    file->sync();
    if (!break_fsync()) return no_filter;
    if (!fails("cannot sync", [&] { file->sync(); })) return 1;
    if (!fails("earlier operation", [&] { file->sync(); })) return 2;
    if (!fails("earlier operation", [&] { file->write_at(0, format::as_bytes("x")); })) return 3;
    if (!fails("earlier operation", [&] { file->truncate(0); })) return 4;
    const auto again = fs->open(directory_ / "file", OpenMode::read_write);
    again->write_at(0, format::as_bytes("again"));
    return fails("cannot sync the directory", [&] { fs->sync_directory(directory_.path()); }) ? 0
                                                                                              : 5;
  });
  const int status = child.wait();
  if (status == no_filter) GTEST_SKIP() << "needs seccomp filters";
  EXPECT_EQ(status, 0);
}

TEST_F(FailedFsyncTest, TheSaveFailsTheTrainingGoesOnAndEarlierCheckpointsVerify) {
  ChildProcess trainer([&] {
    Store store = Store::create(path());
    ckp::Run run = store.create_run({.name = "a"});
    test::save_version(run, 1);
    if (!break_fsync()) return no_filter;
    // Neither the first nor any later save may say that it has worked.
    for (int version = 2; version < 5; ++version) {
      run.log(version, version, {{"loss", 1.0}});
      if (!fails("sync", [&] { test::save_version(run, version); })) return version;
      if (store.checkpoints(run.record().id).size() != 1) return 10;
    }
    return 0;
  });
  const int status = trainer.wait();
  if (status == no_filter) GTEST_SKIP() << "needs seccomp filters";
  EXPECT_EQ(status, 0);
  test::expect_holds(path(), {{"a", 1}});
  Store store = Store::open(path());
  ckp::Run run = store.resume_run("a");
  EXPECT_EQ(run.continued_from()->record().epoch, 1);
  test::save_version(run, 2);
  test::expect_holds(path(), {{"a@1", 1}, {"a@2", 2}});
}

}  // namespace
}  // namespace ckp
