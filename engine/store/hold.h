// Holds and deletions keep each other away (spec/commit.md, "Holds").
#pragma once

#include <memory>
#include <string_view>

#include "ckp/hold.h"
#include "store/store_core.h"

namespace ckp {

struct StoreHold::Impl {
  std::unique_ptr<File> lock_file;
};

// Waits for the deletions that are under way, or throws Error(locked).
StoreHold take_hold(StoreCore& core);

// A deletion under way, from before the store's lock is taken until the last file is unlinked.
class DeletionLock {
 public:
  explicit DeletionLock(StoreCore& core);
  // Under the store's lock: Error(locked) when somebody holds the store, and nothing was `done`.
  void check_not_on_hold(const StoreLock&, std::string_view done = "deleted");

 private:
  StoreCore& core_;
  std::unique_ptr<File> lock_file_;
};

}  // namespace ckp
