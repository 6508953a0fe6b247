#include "index/index_lock.h"

#include "store/layout.h"
#include "store/lock_wait.h"

namespace ckp {

std::unique_ptr<File> IndexLock::acquire(LockKind kind) const {
  auto file = fs_.open(lock_file_, OpenMode::create);
  lock_in_time(*file, lock_byte::index_gate, LockKind::exclusive, timeout_ms_, "index");
  lock_in_time(*file, lock_byte::index_data, kind, timeout_ms_, "index");
  file->unlock(lock_byte::index_gate);
  return file;
}

}  // namespace ckp
