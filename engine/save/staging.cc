#include "save/staging.h"

#include <algorithm>

namespace ckp {
namespace {

constexpr std::size_t block_size = std::size_t{32} << 20;
constexpr std::size_t huge_page = std::size_t{2} << 20;
constexpr std::size_t alignment = 64;

std::size_t round_up(std::size_t size, std::size_t unit) { return (size + unit - 1) / unit * unit; }

}  // namespace

AnonymousMemory StagingPool::take(std::size_t size) {
  {
    const std::lock_guard lock(mutex_);
    const auto fits = std::ranges::find_if(
        free_, [&](const AnonymousMemory& block) { return block.size() >= size; });
    if (fits != free_.end()) {
      std::swap(*fits, free_.back());
      AnonymousMemory block = std::move(free_.back());
      free_.pop_back();
      return block;
    }
  }
  // Small states get small blocks; they would not fill a huge page.
  const std::size_t unit = size >= huge_page ? huge_page : std::size_t{4096};
  return AnonymousMemory(round_up(size, unit));
}

void StagingPool::give_back(std::vector<AnonymousMemory> blocks) noexcept {
  if (blocks.empty()) return;
  const std::lock_guard lock(mutex_);
  std::swap(free_, blocks);
}

std::byte* Staging::allocate(std::size_t size) {
  const std::size_t rounded = round_up(size, alignment);
  if (blocks_.empty() || blocks_.back().size() - used_ < rounded) {
    blocks_.reserve(blocks_.size() + 1);
    const std::uint64_t rest = bound_ > allocated_ ? bound_ - allocated_ : 0;
    blocks_.push_back(pool_->take(std::max<std::size_t>(rounded, std::min(rest, block_size))));
    used_ = 0;
  }
  std::byte* const at = blocks_.back().data() + used_;
  used_ += rounded;
  allocated_ += rounded;
  return at;
}

}  // namespace ckp
