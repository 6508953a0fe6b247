// Wall time, replaceable in tests. Never used for order, only for what people read and for
// keep-within.
#pragma once

#include <cstdint>
#include <memory>

namespace ckp {

// Asked on several threads at once.
class Clock {
 public:
  virtual ~Clock() = default;
  // Nanoseconds since 1970, UTC.
  virtual std::int64_t now_ns() = 0;
};

std::shared_ptr<Clock> system_clock();

}  // namespace ckp
