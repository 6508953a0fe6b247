// "Did you mean ...?"
#pragma once

#include <cstddef>
#include <string_view>

namespace ckp {

// Insertions, removals and replacements of bytes that turn `a` into `b`; `limit` when there are at
// least that many.
std::size_t edit_distance(std::string_view a, std::string_view b, std::size_t limit);

// Collects the name that is closest to `wanted`; the first of equally close ones.
class ClosestName {
 public:
  explicit ClosestName(std::string_view wanted) : wanted_(wanted), distance_(wanted.size() + 1) {}
  // `candidate` outlives this object.
  void offer(std::string_view candidate);
  // Empty when nothing was offered that has anything in common.
  std::string_view best() const { return best_; }

 private:
  std::string_view wanted_;
  std::size_t distance_;
  std::string_view best_;
};

}  // namespace ckp
