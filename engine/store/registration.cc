#include "store/registration.h"

#include "ckp/error.h"
#include "io/host.h"

namespace ckp {

Registration::Registration(StoreCore& core, const std::string& directory)
    : Registration(core, directory, random_uuid()) {}

Registration::Registration(StoreCore& core, const std::string& directory, const Uuid& uuid)
    : core_(core), directory_(directory), uuid_(uuid), creator_pid_(process_id()) {
  core.check_writable();
  StoreLock lock = core.lock();
  bring_index_up_to_date(lock);
  began_ = lock.commit_number();
  PackName name;
  name.state = PackState::temporary;
  name.uuid = uuid_;
  name.began = began_;
  path_ = core.layout().run(directory) / to_file_name(name);
  file_ = core.fs().open(path_, OpenMode::create_new);
  // Nobody else can have it: whoever looks for dead saves holds the store's lock.
  file_->lock(owner_lock_byte, LockKind::exclusive, true);
}

// So that the commit at the end of this save can keep the index right. Not needed for the save
// itself.
void Registration::bring_index_up_to_date(StoreLock& lock) noexcept {
  try {
    core_.prepare_for_save(lock);
  } catch (const std::exception&) {
  }
}

bool Registration::is_in_place() const {
  const FileStatus own = file_->status();
  const auto found = core_.fs().status(path_);
  return found && found->device == own.device && found->inode == own.inode;
}

Registration::~Registration() {
  if (committed_ || process_id() != creator_pid_) return;
  try {
    core_.fs().remove(path_);
  } catch (const std::exception&) {
    // Garbage without an owner: the next collection takes it.
  }
}

}  // namespace ckp
