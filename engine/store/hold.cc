#include "store/hold.h"

#include <fmt/format.h>

#include "ckp/error.h"
#include "io/lock_holder.h"
#include "store/lock_wait.h"

namespace ckp {

StoreHold::StoreHold(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
StoreHold::StoreHold(StoreHold&&) noexcept = default;
StoreHold& StoreHold::operator=(StoreHold&&) noexcept = default;
StoreHold::~StoreHold() = default;

StoreHold take_hold(StoreCore& core) {
  auto hold = std::make_unique<StoreHold::Impl>();
  {
    const StoreLock lock = core.lock();
    hold->lock_file = core.fs().open(core.layout().lock(), OpenMode::read_write);
    hold->lock_file->lock(lock_byte::hold, LockKind::shared, true);
  }
  // Whoever deletes now has decided before the hold, and unlinks still.
  lock_in_time(*hold->lock_file, lock_byte::deletion, LockKind::exclusive, core.lock_timeout_ms(),
               "deletion");
  hold->lock_file->unlock(lock_byte::deletion);
  return StoreHold(std::move(hold));
}

DeletionLock::DeletionLock(StoreCore& core)
    : core_(core), lock_file_(core.fs().open(core.layout().lock(), OpenMode::create)) {
  lock_in_time(*lock_file_, lock_byte::deletion, LockKind::shared, core.lock_timeout_ms(),
               "deletion");
}

// Nobody can take or try the byte meanwhile: all do it under the store's lock.
void DeletionLock::check_not_on_hold(const StoreLock&, std::string_view done) {
  if (lock_file_->lock(lock_byte::hold, LockKind::exclusive, false)) {
    lock_file_->unlock(lock_byte::hold);
    return;
  }
  const auto holder = lock_holder(lock_file_->path(), lock_byte::hold);
  throw Error(
      ErrorCode::locked,
      fmt::format(
          "{}: {} holds the store, for a backup perhaps (ckptool hold): nothing was "
          "{}; try again when that has ended",
          core_.layout().root.string(),
          holder ? fmt::format("process {}", *holder) : "a process that cannot be seen from here",
          done));
}

}  // namespace ckp
