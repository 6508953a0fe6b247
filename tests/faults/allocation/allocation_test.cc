// Allocation k of a piece of work fails, for k = 1, 2, 3, ... until the work completes (P7).
#include <gtest/gtest.h>

#include <new>
#include <optional>

#include "ckp/error.h"
#include "faults/allocation/allocation_fault.h"
#include "faults/store_oracle.h"
#include "faults/work.h"
#include "support/effort.h"
#include "support/figure.h"
#include "support/memory_directory.h"
#include "support/sanitizer.h"
#include "support/temporary_directory.h"

namespace ckp {
namespace {

namespace fault = test::allocation_fault;

class AllocationFaults : public testing::TestWithParam<std::string> {
 protected:
  // One round: allocation k fails, or none when k is 0. Whether there was such an allocation.
  bool fail_allocation(std::uint64_t k) {
    const test::TemporaryDirectory directory(test::memory_directory());
    const auto work = test::make_work(GetParam(), directory.path(), posix_file_system());
    work->prepare();
    bool succeeded = false;
    std::string other;
    fault::plan(k);
    try {
      work->work();
      succeeded = true;
    } catch (const std::bad_alloc&) {
      ++errors_;
    } catch (const Error&) {
      ++errors_;
    } catch (const std::exception& error) {
      fault::clear();
      other = error.what();
    }
    fault::clear();
    EXPECT_EQ(other, "") << "neither std::bad_alloc nor ckp::Error";
    EXPECT_TRUE(succeeded || fault::struck()) << "an error where nothing failed";
    const bool struck = fault::struck();
    try {
      work->check(succeeded);
    } catch (const std::exception& error) {
      ADD_FAILURE() << error.what();
    }
    return struck;
  }

  std::uint64_t errors_ = 0;
};

TEST_P(AllocationFaults, NothingIsLostOrLeakedWhateverFails) {
  // What is made once and kept (locales, first use of a library) is made here.
  ASSERT_FALSE(fail_allocation(0));
  const std::uint64_t all = fault::counted();
  fail_allocation(1);
  const std::size_t descriptors = test::open_descriptors();
  // All of them take minutes: by default every step-th, from another start in each part of the
  // work, so that a longer run finds new ones.
  const std::uint64_t points = test::effort(test::sanitized ? 150 : 300);
  const std::uint64_t step = all <= points ? 1 : all / points;
  std::uint64_t done = 0;
  for (std::uint64_t k = 1; k <= all; k += step, ++done) {
    const std::int64_t live = fault::live();
    fail_allocation(k);
    ASSERT_FALSE(HasFailure()) << "allocation " << k << " of " << all;
    ASSERT_EQ(test::open_descriptors(), descriptors) << "a descriptor is left after " << k;
    if (fault::can_count_live()) {
      ASSERT_EQ(fault::live(), live) << "memory is left after allocation " << k << " of " << all;
    }
  }
  EXPECT_GT(errors_, 0u);
  test::figure("P7 allocations", std::to_string(done) + " of the " + std::to_string(all) +
                                     " allocations of " + GetParam() + ": " +
                                     std::to_string(errors_) + " errors, 0 violations");
}

INSTANTIATE_TEST_SUITE_P(Each, AllocationFaults, testing::ValuesIn(test::work_names()),
                         [](const auto& parameter) { return parameter.param; });

}  // namespace
}  // namespace ckp
