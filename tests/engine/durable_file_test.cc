#include "io/durable_file.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>

#include "ckp/format/wire.h"
#include "engine/sample_states.h"
#include "io/posix_options.h"
#include "support/expect_error.h"
#include "support/faulty_file_system.h"
#include "support/memory_directory.h"
#include "support/temporary_directory.h"

namespace ckp {
namespace {

using format::as_bytes;
using test::expect_error;
using test::FaultyFileSystem;
using test::random_bytes;
using test::TemporaryDirectory;

std::string slurp(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// A folder that cannot be listed is no reason not to write into it.
bool needed(const std::string& operation) { return !operation.starts_with("list"); }

class DurableFileTest : public testing::Test {
 protected:
  void write(bool replace, const std::string& text = "new") {
    write_durably(fs_, dir_ / "file", replace,
                  [&](FileAppender& file) { file.append(as_bytes(text)); });
  }
  void put_old() { std::ofstream(dir_ / "file") << "old"; }
  std::vector<std::string> names() { return posix_file_system()->list(dir_.path()); }

  TemporaryDirectory dir_;
  FaultyFileSystem fs_{posix_file_system(), dir_.path()};
};

TEST_F(DurableFileTest, FollowsTheRecipe) {
  write(true);
  EXPECT_EQ(slurp(dir_ / "file"), "new");
  const std::vector<std::string> log = fs_.log();
  ASSERT_EQ(log.size(), 8u);
  const std::string temporary = log[1].substr(std::string("create_new ").size());
  EXPECT_EQ(log[0], "list .");
  EXPECT_EQ(log[1], "create_new " + temporary);
  EXPECT_EQ(log[2], "lock " + temporary + " 0");
  EXPECT_EQ(log[3], "status " + temporary);
  EXPECT_EQ(log[4], "write " + temporary + " 0 3");
  EXPECT_EQ(log[5], "sync " + temporary);
  EXPECT_EQ(log[6], "rename " + temporary + " -> file");
  EXPECT_EQ(log[7], "sync_directory .");
  EXPECT_EQ(names(), std::vector<std::string>{"file"});
}

TEST_F(DurableFileTest, ReplacesOnlyWhenAsked) {
  put_old();
  expect_error(ErrorCode::already_exists, "file: it exists already", [&] { write(false); });
  EXPECT_EQ(slurp(dir_ / "file"), "old");
  write(true);
  EXPECT_EQ(slurp(dir_ / "file"), "new");
}

// With O_DIRECT and without it, on a disk and in memory: whole buffers, blocks at the end, a rest.
TEST(FileAppenderTest, EveryByteIsWhereItBelongs) {
  constexpr std::size_t buffer = 4u << 20;
  constexpr std::size_t piece = 1'000'003;
  const auto bytes = random_bytes(buffer + 3 * 4096 + 77, 1);
  for (const auto& parent : {std::filesystem::temp_directory_path(), test::memory_directory()}) {
    for (const bool direct : {true, false}) {
      const TemporaryDirectory dir(parent);
      const auto fs = posix_file_system(PosixOptions{.direct_writes = direct});
      for (const std::size_t size : {std::size_t{100}, buffer, bytes.size()}) {
        write_durably(*fs, dir / "file", true, [&](FileAppender& file) {
          for (std::size_t at = 0; at < size; at += piece) {
            file.append(std::span(bytes).subspan(at, std::min(piece, size - at)));
            EXPECT_EQ(file.offset(), std::min(at + piece, size));
          }
        });
        EXPECT_TRUE(
            std::ranges::equal(test::read_bytes(dir / "file"), std::span(bytes).first(size)))
            << size << " bytes below " << parent;
      }
    }
  }
}

// The target appears after it was looked for.
TEST_F(DurableFileTest, ARaceForTheNameIsLostWithoutDamage) {
  expect_error(ErrorCode::already_exists, "cannot rename", [&] {
    write_durably(fs_, dir_ / "file", false, [&](FileAppender& file) {
      put_old();
      file.append(as_bytes("new"));
    });
  });
  EXPECT_EQ(slurp(dir_ / "file"), "old");
  EXPECT_EQ(names(), std::vector<std::string>{"file"});
}

TEST_F(DurableFileTest, AnExceptionOfTheCallerLeavesNothing) {
  EXPECT_THROW(write_durably(fs_, dir_ / "file", false,
                             [](FileAppender&) { throw std::runtime_error("mine"); }),
               std::runtime_error);
  EXPECT_TRUE(names().empty());
}

TEST_F(DurableFileTest, EveryFailurePointOfAReplacement) {
  bool done = false;
  std::uint64_t k = 1;
  for (; !done; ++k) {
    put_old();
    fs_.plan({.at = k, .code = ErrorCode::out_of_space, .torn_write = true, .only = needed});
    fs_.clear_log();
    try {
      write(true);
      done = true;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::out_of_space) << error.what();
      EXPECT_EQ(names(), std::vector<std::string>{"file"}) << "k=" << k;
      // Only the fsync of the directory comes after the point of no return.
      const bool renamed = fs_.log().back() == "sync_directory .";
      EXPECT_EQ(slurp(dir_ / "file"), renamed ? "new" : "old") << "k=" << k;
    }
  }
  EXPECT_EQ(k, 9u);  // seven operations failed, the eighth time all went well
  EXPECT_EQ(slurp(dir_ / "file"), "new");
}

TEST_F(DurableFileTest, EveryFailurePointOfANewFile) {
  bool done = false;
  for (std::uint64_t k = 1; !done; ++k) {
    fs_.plan({.at = k, .code = ErrorCode::read_only, .only = needed});
    try {
      write(false);
      done = true;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::read_only) << error.what();
      EXPECT_TRUE(names().empty()) << "k=" << k;
    }
  }
  EXPECT_EQ(slurp(dir_ / "file"), "new");
}

TEST_F(DurableFileTest, AFolderThatCannotBeListed) {
  fs_.plan({.at = 1, .code = ErrorCode::read_only});
  write(true);
  EXPECT_EQ(fs_.first_failure(), "list .");
  EXPECT_EQ(slurp(dir_ / "file"), "new");
}

TEST_F(DurableFileTest, ADiskThatNeverRecovers) {
  put_old();
  // Seven, because the fsync of the directory comes after the rename.
  for (std::uint64_t k = 1; k < 7; ++k) {
    fs_.plan({.at = k, .code = ErrorCode::io, .forever = true, .only = needed});
    expect_error(ErrorCode::io, "injected fault " + std::to_string(k), [&] { write(true); });
    EXPECT_EQ(slurp(dir_ / "file"), "old") << "k=" << k;
    for (const std::string& name : names()) {
      if (name != "file") std::filesystem::remove(dir_ / name);  // it could not be removed
    }
  }
}

TEST_F(DurableFileTest, TheNextWriterRemovesWhatAKilledOneHasLeft) {
  const auto child = [&] {
    write_durably(*posix_file_system(), dir_ / "file", true, [](FileAppender&) { ::_exit(7); });
  };
  const int pid = ::fork();
  if (pid == 0) child();
  int status = 0;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  ASSERT_EQ(WEXITSTATUS(status), 7);
  ASSERT_EQ(names().size(), 1u);  // the temporary file
  std::ofstream(dir_ / ".file.0123abcd.tmp.mine") << "not a temporary file";
  std::ofstream(dir_ / ".other.0123abcd.tmp") << "another file's";
  write(true);
  EXPECT_EQ(names(),
            (std::vector<std::string>{".file.0123abcd.tmp.mine", ".other.0123abcd.tmp", "file"}));
}

TEST_F(DurableFileTest, AWriterDoesNotDisturbAnother) {
  write_durably(*posix_file_system(), dir_ / "file", true, [&](FileAppender& first) {
    first.append(as_bytes("first"));
    write(true, "second");
    EXPECT_EQ(slurp(dir_ / "file"), "second");
  });
  EXPECT_EQ(slurp(dir_ / "file"), "first");
  EXPECT_EQ(names(), std::vector<std::string>{"file"});
}

TEST_F(DurableFileTest, NamesOfFullLengthAndNoFolder) {
  const std::string longest(255, 'n');
  write_durably(fs_, dir_ / longest, false, [](FileAppender&) {});
  EXPECT_EQ(names(), std::vector<std::string>{longest});
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(dir_.path());
  write_durably(*posix_file_system(), "bare", false, [](FileAppender&) {});
  std::filesystem::current_path(before);
  EXPECT_TRUE(std::filesystem::exists(dir_ / "bare"));
}

TEST_F(DurableFileTest, TheAppenderKeepsOrderAndOffset) {
  const std::string large(5u << 20, 'L');
  const std::string medium(3u << 20, 'm');
  std::string expected;
  write_durably(fs_, dir_ / "file", false, [&](FileAppender& file) {
    for (const std::string& piece : {std::string("a"), large, std::string("b"), medium, medium,
                                     std::string(), large, std::string("end")}) {
      file.append(as_bytes(piece));
      expected += piece;
      EXPECT_EQ(file.offset(), expected.size());
    }
  });
  EXPECT_TRUE(slurp(dir_ / "file") == expected);
}

}  // namespace
}  // namespace ckp
