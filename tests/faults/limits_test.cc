// Disks that fill up and limits that are met, at every size: what is too large fails, what was
// there stays.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <filesystem>
#include <fstream>

#include "ckp/error.h"
#include "ckp/save.h"
#include "cli/mounts.h"
#include "faults/store_oracle.h"
#include "support/child_process.h"
#include "support/figure.h"
#include "support/memory_directory.h"
#include "support/program.h"
#include "support/small_state.h"
#include "support/temporary_directory.h"

namespace ckp {
namespace {

namespace stdfs = std::filesystem;

const std::string ckptool_path = std::string(CKP_BIN_DIR) + "/ckptool";

class LimitsTest : public testing::Test {
 protected:
  // A store with the run "a": epochs 1, 2, 3; and the file in.ckp, which holds version 5.
  void prepare(const stdfs::path& store) {
    stdfs::remove_all(store);
    Store made = Store::create(store);
    ckp::Run run = made.create_run({.name = "a"});
    for (const int version : {1, 2, 3}) test::save_version(run, version);
    save_file(in(), test::SmallState(5, test::tensor_size).dict(), {.epoch = 5});
  }
  stdfs::path in() const { return directory_ / "in.ckp"; }
  const test::TemporaryDirectory directory_{test::memory_directory()};
};

constexpr int limit_step = 4096;

// Saves with a limit on the size of files; what the child exits with: 0 saved, 1 out of space.
int save_limited(const stdfs::path& store, unsigned long limit, bool ignore_signal) {
  test::ChildProcess trainer([&] {
    Store opened = Store::open(store);
    ckp::Run run = opened.resume_run("a");
    if (ignore_signal) ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limits{limit, limit};
    ::setrlimit(RLIMIT_FSIZE, &limits);
    try {
      test::save_version(run, 4);
    } catch (const Error& error) {
      return error.code() == ErrorCode::out_of_space ? 1 : 2;
    }
    return 0;
  });
  return trainer.wait();
}

TEST_F(LimitsTest, ASaveUnderAFileSizeLimit) {
  for (const bool ignore_signal : {true, false}) {
    bool saved = false;
    int failures = 0;
    for (unsigned long limit = 0; !saved; limit += limit_step) {
      SCOPED_TRACE("limit " + std::to_string(limit));
      ASSERT_LT(limit, 1u << 24);
      prepare(directory_ / "store");
      const int status = save_limited(directory_ / "store", limit, ignore_signal);
      saved = status == 0;
      failures += saved ? 0 : 1;
      EXPECT_TRUE(saved || status == (ignore_signal ? 1 : -SIGXFSZ)) << status;
      // A limit that stops the index after the commit ends the process or nothing; the save stands.
      test::expect_holds(directory_ / "store", {{"a@1", 1}, {"a@3", 3}});
      if (saved) test::expect_holds(directory_ / "store", {{"a@4", 4}});
      test::expect_usable(directory_ / "store");
      ASSERT_FALSE(HasFailure());
    }
    EXPECT_GT(failures, 0);
  }
}

TEST_F(LimitsTest, CkptoolUnderAFileSizeLimit) {
  const std::string store = (directory_ / "store").string();
  const std::vector<std::vector<std::string>> commands = {
      {ckptool_path, "import", store, in().string(), "--run", "imported"},
      {ckptool_path, "prune", store, "--keep-last", "1"},
      {ckptool_path, "rebuild-index", store},
  };
  for (const auto& command : commands) {
    bool succeeded = false;
    for (unsigned long limit = 0; !succeeded; limit += limit_step) {
      SCOPED_TRACE(command[1] + ", limit " + std::to_string(limit));
      ASSERT_LT(limit, 1u << 24);
      prepare(store);
      const auto result = test::run_program(command, {{RLIMIT_FSIZE, limit}});
      succeeded = result.status == 0;
      EXPECT_LT(result.status, 128) << result;
      test::expect_holds(store, {{"a@3", 3}});
      test::expect_usable(store);
      ASSERT_FALSE(HasFailure());
    }
  }
}

// A tmpfs with this much space left, page by page, until the work succeeds.
class FullDiskTest : public LimitsTest, public testing::WithParamInterface<std::string> {
 protected:
  // Leaves `pages` pages free.
  void fill(const stdfs::path& disk, std::uint64_t pages) {
    const stdfs::path filler = disk / "filler";
    const std::uint64_t available = stdfs::space(disk).available;
    const std::uint64_t keep = std::min(available, pages * limit_step);
    std::ofstream file(filler, std::ios::binary);
    const std::string page(limit_step, 'x');
    for (std::uint64_t i = 0; i < (available - keep) / limit_step; ++i) file << page;
  }
  static int work(const std::string& name, const std::string& store, const std::string& file) {
    if (name == "import") {
      return test::run_program({ckptool_path, "import", store, file, "--run", "imported"}).status;
    }
    if (name == "tag") {
      return test::run_program({ckptool_path, "tag", store, "a@1", "reviewed"}).status;
    }
    if (name == "rebuild_index")
      return test::run_program({ckptool_path, "rebuild-index", store}).status;
    if (name == "prune") {
      return test::run_program({ckptool_path, "prune", store, "--keep-last", "1"}).status;
    }
    Store opened = Store::open(store);
    ckp::Run run = opened.resume_run("a");
    test::save_version(run, 4);
    return 0;
  }
};

TEST_P(FullDiskTest, EveryAmountOfSpaceThatIsLeft) {
  test::TemporaryMount mount(directory_ / "disk", "24m");
  if (!mount.ready()) GTEST_SKIP() << "needs the right to mount a tmpfs";
  const stdfs::path store = directory_ / "disk" / "store";
  bool succeeded = false;
  std::uint64_t pages = 0;
  for (; !succeeded; ++pages) {
    SCOPED_TRACE(std::to_string(pages) + " pages left");
    ASSERT_LT(pages, 200u);
    prepare(store);
    fill(directory_ / "disk", pages);
    try {
      succeeded = work(GetParam(), store.string(), in().string()) == 0;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::out_of_space) << error.what();
    }
    // Everything can be read while the disk is still full.
    test::expect_holds(store, {{"a@3", 3}});
    stdfs::remove(directory_ / "disk" / "filler");
    std::vector<test::Expected> expected = {{"a@3", 3}};
    if (GetParam() == "import" && succeeded) expected.push_back({"imported", 5});
    if (GetParam() == "save" && succeeded) expected.push_back({"a@4", 4});
    if (GetParam() != "prune") expected.push_back({"a@1", 1});
    test::expect_holds(store, expected);
    test::expect_usable(store);
    ASSERT_FALSE(HasFailure());
  }
  test::figure("P6 full disks",
               GetParam() + ": " + std::to_string(pages) + " amounts of space left");
}

INSTANTIATE_TEST_SUITE_P(Each, FullDiskTest,
                         testing::Values("save", "import", "prune", "tag", "rebuild_index"),
                         [](const auto& parameter) { return parameter.param; });

}  // namespace
}  // namespace ckp
