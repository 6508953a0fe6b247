#include "ckp/clock.h"

#include <chrono>

namespace ckp {
namespace {

class SystemClock final : public Clock {
 public:
  std::int64_t now_ns() override {
    const auto since = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::nanoseconds>(since).count();
  }
};

}  // namespace

std::shared_ptr<Clock> system_clock() { return std::make_shared<SystemClock>(); }

}  // namespace ckp
