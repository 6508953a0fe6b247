// Keeping deletions away while something else reads a store's files.
#pragma once

#include <memory>

namespace ckp {

// As long as one lives, in any process, prune and the removals throw Error(locked), which names the
// holder, and delete nothing; saves, loads and verify go on. Made by Store::hold. The kernel lets
// go when the process dies. Movable; in a forked child the destructor does nothing.
class StoreHold {
 public:
  struct Impl;
  explicit StoreHold(std::unique_ptr<Impl> impl);
  StoreHold(StoreHold&&) noexcept;
  StoreHold& operator=(StoreHold&&) noexcept;
  ~StoreHold();

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace ckp
