// Seeds of randomized tests: printed, and replayed with CKP_TEST_SEED.
#pragma once

#include <cstdint>

namespace ckp::test {

// CKP_TEST_SEED when set, otherwise a fixed seed of this test. Recorded in the test's output, so
// that a failure says how to repeat it.
std::uint64_t seed(std::uint64_t fixed);

}  // namespace ckp::test
