// How much a long test does: short in CI, as long as asked in the soak.
#pragma once

#include <cstdint>
#include <cstdlib>

namespace ckp::test {

// `count` times $CKP_TEST_EFFORT (a whole number from 1 on; 1 when it is not set).
inline std::uint64_t effort(std::uint64_t count) {
  const char* text = std::getenv("CKP_TEST_EFFORT");
  const std::uint64_t factor = text == nullptr ? 1 : std::strtoull(text, nullptr, 10);
  return count * (factor == 0 ? 1 : factor);
}

}  // namespace ckp::test
