// Space set aside so that a full disk can still be pruned (spec/commit.md, "Retire and collect").
#pragma once

#include "ckp/file_system.h"
#include "store/layout.h"

namespace ckp {

// Makes the reserve file, or leaves none where there is no space for it.
void make_reserve(FileSystem& fs, const StoreLayout& layout) noexcept;

// Gives the space back for as long as it lives.
class ReleasedReserve {
 public:
  ReleasedReserve(FileSystem& fs, const StoreLayout& layout);
  ~ReleasedReserve();
  ReleasedReserve(const ReleasedReserve&) = delete;
  ReleasedReserve& operator=(const ReleasedReserve&) = delete;

 private:
  FileSystem& fs_;
  StoreLayout layout_;
};

}  // namespace ckp
