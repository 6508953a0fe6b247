// Operation k of a piece of work fails, for k = 1, 2, 3, ... until the work completes (P6).
//
// The operations are those of the file system seam. What the system calls say there: EIO is
// Error(io); ENOSPC, EDQUOT and EFBIG are Error(out_of_space); EINTR and short transfers never get
// that far (posix_file_system_test and syscall_faults_test show it), but for a write that fails in
// the middle, which leaves the first half of its bytes in the file.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "ckp/error.h"
#include "faults/store_oracle.h"
#include "faults/work.h"
#include "support/faulty_file_system.h"
#include "support/figure.h"
#include "support/memory_directory.h"
#include "support/temporary_directory.h"

namespace ckp {
namespace {

using test::FaultyFileSystem;

struct Mode {
  const char* name;
  test::Fault fault;
};

bool is_write(const std::string& operation) { return operation.starts_with("write "); }

// Where a full disk can be met. Reading goes on.
bool takes_space(const std::string& operation) {
  return std::ranges::any_of(
      std::array{"write ", "create ", "create_new ", "make_directory ", "rename ", "reserve ",
                 "truncate ", "sync ", "sync_directory ", "close "},
      [&](const char* start) { return operation.starts_with(start); });
}

const Mode modes[] = {
    {"io_once", {.code = ErrorCode::io}},
    {"io_for_ever", {.code = ErrorCode::io, .forever = true}},
    {"full_once", {.code = ErrorCode::out_of_space, .only = takes_space}},
    {"full_for_ever", {.code = ErrorCode::out_of_space, .forever = true, .only = takes_space}},
    {"torn_write_once", {.code = ErrorCode::io, .torn_write = true, .only = is_write}},
    {"torn_write_for_ever",
     {.code = ErrorCode::out_of_space, .forever = true, .torn_write = true, .only = is_write}},
};

void PrintTo(const Mode& mode, std::ostream* out) { *out << mode.name; }

// Whether a call that returns from `operation`'s failure has lied: what it promised to be durable
// is not. The index, the state block and the reserve are not promised.
bool breaks_a_promise(const std::string& operation) {
  const auto starts_with = [&](const char* start) { return operation.starts_with(start); };
  const bool changes = std::ranges::any_of(
      std::array{"sync ", "sync_directory ", "write ", "rename ", "create_new ", "close "},
      starts_with);
  const std::string path = operation.substr(operation.find(' ') + 1);
  return changes && !path.starts_with("store/lock") && !path.starts_with("store/reserve") &&
         !path.starts_with("store/index");
}

// T4: that STORE still speaks of a trash which is empty only keeps older versions out. That it must
// speak of one that is not (T1) is for the order oracle.
bool may_be_left(const std::string& work, const std::string& operation) {
  const bool writes_identity =
      operation.find("store/.STORE.") != std::string::npos || operation.ends_with(" store");
  return work == "trash" && writes_identity;
}

// Whether it was made up for afterwards: by the same operation, or, since a journal that fails is
// given up for another, by the same of that one.
bool is_repeated(const std::string& operation, const std::vector<std::string>& log) {
  const std::string verb = operation.substr(0, operation.find(' ') + 1);
  const auto is_journal = [&](const std::string& line) {
    return line.starts_with(verb) && line.find("/journal-") != std::string::npos;
  };
  const auto failed = std::ranges::find(log, operation);
  return std::any_of(failed == log.end() ? failed : failed + 1, log.end(),
                     [&](const std::string& line) {
                       return line == operation || (is_journal(operation) && is_journal(line));
                     });
}

class FileSystemFaults : public testing::TestWithParam<std::tuple<std::string, Mode>> {
 protected:
  // One round: operation k fails. Whether there was such an operation.
  bool fail_operation(std::uint64_t k, const std::string& name, test::Fault fault) {
    const test::TemporaryDirectory directory(test::memory_directory());
    const auto fs = std::make_shared<FaultyFileSystem>(posix_file_system(), directory.path());
    const auto work = test::make_work(name, directory.path(), fs);
    work->prepare();
    fault.at = k;
    fs->clear_log();
    fs->plan(fault);
    bool succeeded = false;
    try {
      work->work();
      succeeded = true;
    } catch (const Error& error) {
      EXPECT_FALSE(std::string(error.what()).empty());
      ++errors_;
    }
    const bool failed = fs->failures() > 0;
    const std::string first = fs->first_failure();
    SCOPED_TRACE(first);
    fs->clear();
    if (succeeded && promises_ && breaks_a_promise(first) && !may_be_left(name, first)) {
      EXPECT_TRUE(!fault.forever && is_repeated(first, fs->log())) << "a failure was swallowed";
    }
    EXPECT_TRUE(succeeded || failed) << "an error where nothing failed";
    try {
      work->check(succeeded);
    } catch (const std::exception& error) {
      ADD_FAILURE() << error.what();
    }
    return failed;
  }

  bool promises_ = true;  // the work makes something durable
  std::uint64_t errors_ = 0;
};

TEST_P(FileSystemFaults, NothingIsLostWhateverFails) {
  const auto& [name, mode] = GetParam();
  const std::size_t descriptors = test::open_descriptors();
  promises_ = name != "read" && name != "rebuild_index";
  std::uint64_t k = 1;
  for (; fail_operation(k, name, mode.fault); ++k) {
    ASSERT_FALSE(HasFailure()) << name << ", " << mode.name << ": operation " << k;
    ASSERT_LT(k, 2000u) << "it never gets through";
    ASSERT_EQ(test::open_descriptors(), descriptors) << "a descriptor is left after " << k;
  }
  ASSERT_FALSE(HasFailure()) << "the work without a fault";
  if (k == 1) GTEST_SKIP() << name << " has no such operation";
  EXPECT_TRUE(errors_ > 0 || name == "read");  // the files answer where the index fails
  test::figure("P6 fault points", std::to_string(k - 1) + " points of " + name + ", " + mode.name +
                                      ": " + std::to_string(errors_) + " errors, 0 violations");
}

INSTANTIATE_TEST_SUITE_P(Seam, FileSystemFaults,
                         testing::Combine(testing::ValuesIn(test::work_names()),
                                          testing::ValuesIn(modes)),
                         [](const auto& parameter) {
                           return std::get<0>(parameter.param) + "_" +
                                  std::get<1>(parameter.param).name;
                         });

}  // namespace
}  // namespace ckp
