// System calls of the real ckptool fail, one after the other (P6 outside the seam, and below LMDB):
// strace makes them.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <set>

#include "ckp/convert.h"
#include "ckp/save.h"
#include "faults/store_oracle.h"
#include "support/effort.h"
#include "support/figure.h"
#include "support/memory_directory.h"
#include "support/program.h"
#include "support/small_state.h"
#include "support/temporary_directory.h"

namespace ckp {
namespace {

namespace stdfs = std::filesystem;
using test::ProgramResult;

struct Command {
  const char* name;
  std::vector<std::string> arguments;  // PLACE stands for the test's directory
  bool promises;                       // something durable, when it says that it has succeeded
};

const Command commands[] = {
    {"import", {"import", "PLACE/store", "PLACE/in.ckp", "--run", "imported"}, true},
    {"prune", {"prune", "PLACE/store", "--keep-last", "1"}, true},
    {"tag", {"tag", "PLACE/store", "a@1", "reviewed"}, true},
    {"convert", {"convert", "PLACE/store", "a", "PLACE/out.safetensors", "--force"}, true},
    {"rebuild_index", {"rebuild-index", "PLACE/store"}, false},
    {"verify", {"verify", "PLACE/store", "--full"}, false},
    {"ls", {"ls", "PLACE/store", "a", "--json"}, false},
};
void PrintTo(const Command& command, std::ostream* out) { *out << command.name; }

// What is made to fail, and how.
const std::map<std::string, std::string> calls = {
    {"openat", "EMFILE"},  {"pwrite64", "ENOSPC"}, {"pread64", "EIO"},    {"fsync", "EIO"},
    {"renameat2", "EIO"},  {"rename", "EIO"},      {"unlink", "EIO"},     {"fallocate", "EDQUOT"},
    {"mmap", "ENOMEM"},    {"msync", "EIO"},       {"fdatasync", "EIO"},  {"mkdir", "ENOSPC"},
    {"ftruncate", "EIO"},  {"fcntl", "ENOLCK"},    {"getdents64", "EIO"}, {"newfstatat", "EIO"},
    {"pwritev", "ENOSPC"}, {"writev", "EIO"},      {"statfs", "EIO"},
};

const std::set<std::string> changes_files = {"pwrite64", "pwritev",   "fsync",  "fdatasync",
                                             "msync",    "fallocate", "rename", "renameat2"};

std::string all_calls() {
  std::string list;
  for (const auto& [name, error] : calls) list += (list.empty() ? "" : ",") + name;
  return list;
}

// Makes the store and the files that the commands work on.
void prepare(const stdfs::path& place) {
  Store store = Store::create(place / "store");
  for (const auto& [name, versions] :
       std::map<std::string, std::vector<int>>{{"a", {1, 7, 3}}, {"b", {7}}}) {
    ckp::Run run = store.create_run({.name = name});
    for (const int version : versions) test::save_version(run, version);
  }
  const auto save = [&](const char* name, int version) {
    save_file(place / name, test::SmallState(version, test::tensor_size).dict(),
              {.epoch = version, .encode = {.threads = 1}});
  };
  save("in.ckp", 5);
  save("old.ckp", 6);
  write_safetensors(open_file(place / "old.ckp"), place / "out.safetensors");
}

class SyscallFaults : public testing::TestWithParam<Command> {
 protected:
  void SetUp() override {
    const ProgramResult result = test::run_program({"strace", "-o", "/dev/null", "true"});
    if (result.status != 0) {
      GTEST_SKIP() << "needs strace and the right to trace a process: " << result.err;
    }
  }

  // Runs the command in a new place under strace; `inject` empty: only watches.
  ProgramResult traced(const stdfs::path& place, const std::string& inject) {
    std::vector<std::string> arguments = {"strace", "-f",
                                          "-y",     "--seccomp-bpf",
                                          "-E",     "ASAN_OPTIONS=detect_leaks=0",
                                          "-o",     (place / "trace").string(),
                                          "-e",     "trace=" + all_calls()};
    if (!inject.empty()) {
      arguments.insert(arguments.end(), {"-e", "inject=" + inject});
    }
    arguments.push_back(std::string(CKP_BIN_DIR) + "/ckptool");
    for (std::string argument : GetParam().arguments) {
      if (argument.starts_with("PLACE")) argument.replace(0, 5, place.string());
      arguments.push_back(argument);
    }
    const ProgramResult result = test::run_program(arguments);
    trace_.clear();
    std::ifstream file(place / "trace");
    for (std::string line; std::getline(file, line);) trace_.push_back(line);
    return result;
  }

  // The seam's test takes every one; here each costs a process or two.
  static std::set<int> some_of(const std::set<int>& numbers) {
    const std::size_t step = numbers.size() / test::effort(12) + 1;
    std::set<int> some;
    std::size_t i = 0;
    for (const int number : numbers) {
      if (i++ % step == 0) some.insert(number);
    }
    return some;
  }

  // For each call the numbers, among all of its name, of those that are about files of the test.
  // strace counts for each thread by itself; the first one's calls for its own start are left out.
  std::map<std::string, std::set<int>> points(const stdfs::path& place) {
    std::map<std::string, std::set<int>> found;
    std::map<std::pair<std::string, std::string>, int> count;
    std::map<std::string, int> first;
    for (const std::string& line : trace_) {
      const std::size_t name_at = line.find_first_not_of(' ', line.find(' '));
      const std::size_t end = line.find('(');
      if (end == std::string::npos || name_at >= end) continue;  // "resumed", "exited"
      const std::string name = line.substr(name_at, end - name_at);
      if (!calls.contains(name)) continue;
      const std::string thread = line.substr(0, line.find(' '));
      const int number = ++count[{thread, name}];
      if (line.find(place.string()) != std::string::npos) {
        found[name].insert(number);
      } else if (found[name].empty() && trace_.front().starts_with(thread + " ")) {
        first[name] = number + 1;
      }
    }
    for (auto& [name, numbers] : found) {
      const int own = first[name];
      std::erase_if(numbers, [own](int number) { return number < own; });
      numbers = some_of(numbers);
    }
    return found;
  }

  // The line of an injected fault that the command must not have survived; empty: none.
  std::string unforgivable() const {
    for (const std::string& line : trace_) {
      const bool is_hit =
          line.find("(INJECTED)") != std::string::npos && line.find("EINTR") == std::string::npos;
      const bool is_sync = line.find("fsync(") != std::string::npos;
      const bool is_rename = line.find("rename") != std::string::npos;
      const bool is_index = line.find("/store/index") != std::string::npos;
      // A journal whose fsync fails is given up for a new one.
      const bool is_journal = line.find("/journal-") != std::string::npos;
      if (is_hit && !is_index && !is_journal && (is_sync || is_rename)) return line;
    }
    return {};
  }

  void check(const stdfs::path& place, const ProgramResult& result) {
    const bool succeeded = result.status == 0;
    EXPECT_LT(result.status, 128) << "ended by a signal" << result;
    if (!succeeded) {
      EXPECT_TRUE(result.err.find("ckptool: ") != std::string::npos ||
                  std::string(GetParam().name) == "verify")
          << "no message" << result;
    }
    if (succeeded && GetParam().promises) {
      EXPECT_EQ(unforgivable(), "") << "swallowed" << result;
    }
    std::vector<test::Expected> expected = {{"a", 3}, {"b", 7}};
    const std::string name = GetParam().name;
    if (name != "prune") expected.push_back({"a@1", 1});
    if (name == "import" && succeeded) expected.push_back({"imported", 5});
    if (name == "ls" && succeeded) {
      std::size_t listed = 0;
      for (std::size_t at = 0; (at = result.out.find("\"epoch\"", at)) != std::string::npos; ++at) {
        ++listed;
      }
      EXPECT_EQ(listed, 3u) << "a checkpoint is missing" << result;
    }
    if (name == "convert") {
      convert_safetensors(place / "out.safetensors", place / "back.ckp");
      const Checkpoint back = open_file(place / "back.ckp");
      const bool is_new = test::SmallState(3, test::tensor_size).is_in(back);
      EXPECT_TRUE(is_new || (!succeeded && test::SmallState(6, test::tensor_size).is_in(back)));
    }
    test::expect_holds(place / "store", expected);
    test::expect_usable(place / "store");
  }

  // Runs the command with this fault in a place of its own, and the oracle.
  ProgramResult inject(const std::string& fault) {
    SCOPED_TRACE(fault);
    const test::TemporaryDirectory place(test::memory_directory());
    prepare(place.path());
    const ProgramResult result = traced(place.path(), fault);
    try {
      check(place.path(), result);
    } catch (const std::exception& error) {
      ADD_FAILURE() << error.what() << result;
    }
    if (HasFailure()) {
      for (const std::string& line : trace_) {
        if (line.find("INJECTED") != std::string::npos) std::printf("%s\n", line.c_str());
      }
    }
    return result;
  }

  std::map<std::string, std::set<int>> watch() {
    const test::TemporaryDirectory place(test::memory_directory());
    prepare(place.path());
    const ProgramResult result = traced(place.path(), "");
    EXPECT_EQ(result.status, 0) << result;
    return points(place.path());
  }

  std::vector<std::string> trace_;
};

TEST_P(SyscallFaults, EveryCallOnceAndFromThereOn) {
  int done = 0, errors = 0;
  for (const auto& [call, numbers] : watch()) {
    for (const int number : numbers) {
      for (const char* from_there_on : {"", "+"}) {
        // What only reads, or makes a file, is made to fail for ever at the seam.
        if (*from_there_on != 0 && !changes_files.contains(call)) continue;
        const ProgramResult result = inject(call + ":error=" + calls.at(call) +
                                            ":when=" + std::to_string(number) + from_there_on);
        ASSERT_FALSE(HasFailure());
        ++done;
        errors += result.status != 0 ? 1 : 0;
      }
    }
  }
  EXPECT_GT(errors, 0);
  test::figure("P6 system calls", std::to_string(done) + " faults in ckptool " + GetParam().name +
                                      ": " + std::to_string(errors) + " errors, 0 violations");
}

// Interrupted calls are repeated, and nobody sees anything of it.
TEST_P(SyscallFaults, InterruptedCallsAreRepeated) {
  for (const auto& [call, numbers] : watch()) {
    const std::set<std::string> interruptible = {"openat", "pread64", "pwrite64",
                                                 "fsync",  "fcntl",   "ftruncate"};
    if (!interruptible.contains(call) || numbers.empty()) continue;
    const ProgramResult result =
        inject(call + ":error=EINTR:when=" + std::to_string(*numbers.begin()) + "+3");
    // LMDB does not repeat the reads with which it opens its file; what it is asked for is then
    // answered from the packs, but a rebuild says that it has failed.
    const bool is_index = std::ranges::any_of(trace_, [](const std::string& line) {
      return line.find("/data.mdb") != std::string::npos &&
             line.find("INJECTED") != std::string::npos;
    });
    EXPECT_TRUE(result.status == 0 || is_index) << call << result;
  }
}

INSTANTIATE_TEST_SUITE_P(Ckptool, SyscallFaults, testing::ValuesIn(commands),
                         [](const auto& parameter) { return parameter.param.name; });

}  // namespace
}  // namespace ckp
