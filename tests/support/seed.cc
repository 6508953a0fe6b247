#include "support/seed.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>

namespace ckp::test {

std::uint64_t seed(std::uint64_t fixed) {
  const char* text = std::getenv("CKP_TEST_SEED");
  const std::uint64_t value = text != nullptr ? std::strtoull(text, nullptr, 0) : fixed;
  std::cout << "seed: CKP_TEST_SEED=" << value << '\n';
  return value;
}

}  // namespace ckp::test
