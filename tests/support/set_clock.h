// A clock that stands where it was set.
#pragma once

#include <cstdint>

#include "ckp/clock.h"

namespace ckp::test {

class SetClock : public Clock {
 public:
  std::int64_t now_ns() override { return now; }
  std::int64_t now = 0;
};

}  // namespace ckp::test
