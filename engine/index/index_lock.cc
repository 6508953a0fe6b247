#include "index/index_lock.h"

#include "store/layout.h"

namespace ckp {

std::unique_ptr<File> IndexLock::acquire(LockKind kind) const {
  auto file = fs_.open(lock_file_, OpenMode::create);
  file->lock(lock_byte::index_gate, LockKind::exclusive, true);
  file->lock(lock_byte::index_data, kind, true);
  file->unlock(lock_byte::index_gate);
  return file;
}

}  // namespace ckp
