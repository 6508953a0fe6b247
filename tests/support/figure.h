// The figures that spec/promises.md and the soak's report quote.
#pragma once

#include <gtest/gtest.h>

#include <cstdio>
#include <string>

namespace ckp::test {

// Prints "[figure] NAME: TEXT", as in "[figure] P3 kills: 300 kills, 0 lost"; nothing from a test that
// has failed, whose text would not be so.
inline void figure(const std::string& name, const std::string& text) {
  if (testing::Test::HasFailure()) return;
  testing::Test::RecordProperty(name, text);
  std::printf("[figure] %s: %s\n", name.c_str(), text.c_str());
  std::fflush(stdout);
}

}  // namespace ckp::test
