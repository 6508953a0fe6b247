// Puts an OrderOracle under whatever a test program does: the program is linked with
// `--wrap` for ckp::posix_file_system(), so that every store opened in it, by whichever way, is
// listened to without its test having to think of it. A violation fails the test that is running.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "support/order_oracle.h"

namespace ckp::test {

std::shared_ptr<FileSystem> real_posix_file_system() __asm__("__real__ZN3ckp17posix_file_systemEv");
std::shared_ptr<FileSystem> heard_posix_file_system() __asm__(
    "__wrap__ZN3ckp17posix_file_systemEv");

std::shared_ptr<FileSystem> heard_posix_file_system() {
  static const pid_t creator = ::getpid();
  static const auto oracle = std::make_shared<OrderOracle>([](const std::string& violation) {
    if (::getpid() == creator) {
      ADD_FAILURE() << "order of spec/commit.md: " << violation;
      return;
    }
    // A forked child's expectations are lost on its parent; its end is not.
    std::fprintf(stderr, "order of spec/commit.md: %s\n", violation.c_str());
    std::abort();
  });
  return OrderOracle::listen(oracle, real_posix_file_system());
}

}  // namespace ckp::test
