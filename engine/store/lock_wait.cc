#include "store/lock_wait.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <string>
#include <thread>

#include "ckp/error.h"
#include "ckp/format/store_identity.h"
#include "io/host.h"
#include "io/lock_holder.h"

namespace ckp {
namespace {

// The state block tells who took the store's lock last, which need not be who holds this one now.
std::string describe_holder(const File& lock_file, std::uint64_t byte) {
  if (const auto pid = lock_holder(lock_file.path(), byte)) {
    return fmt::format("process {} on {}", *pid, host_name());
  }
  std::array<std::byte, format::StateBlock::size> bytes{};
  const std::size_t size = lock_file.read_at(0, bytes);
  const auto block = format::decode_state_block(std::span(bytes).first(size));
  if (!block) return "a process that cannot be seen from here";
  return fmt::format(
      "a process that cannot be seen from here (the last to save or prune was process {} on {})",
      block->holder_pid, block->holder_host);
}

[[noreturn]] void throw_locked(const File& lock_file, std::uint64_t byte, std::int64_t timeout_ms,
                               std::string_view what) {
  throw Error(
      ErrorCode::locked,
      fmt::format("{}: the {}'s lock is held by {}, and was not given back in {} s; if that "
                  "process is stopped, continue or end it",
                  lock_file.path().parent_path().string(), what, describe_holder(lock_file, byte),
                  static_cast<double>(timeout_ms) / 1000));
}

}  // namespace

void lock_in_time(File& lock_file, std::uint64_t byte, LockKind kind, std::int64_t timeout_ms,
                  std::string_view what) {
  using namespace std::chrono;
  const auto deadline = steady_clock::now() + milliseconds(timeout_ms);
  // Most locks are held for less than a millisecond.
  microseconds pause(50);
  while (!lock_file.lock(byte, kind, false)) {
    if (steady_clock::now() >= deadline) throw_locked(lock_file, byte, timeout_ms, what);
    std::this_thread::sleep_for(pause);
    pause = std::min<microseconds>(2 * pause, milliseconds(1));
  }
}

}  // namespace ckp
