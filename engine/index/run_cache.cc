#include "index/run_cache.h"

#include <algorithm>
#include <tuple>

namespace ckp {

bool created_before(const RunRecord& a, const RunRecord& b) {
  return std::tie(a.created_ns, a.id) < std::tie(b.created_ns, b.id);
}

RunCache::Rows::Rows(std::shared_ptr<const State> before) : before_(std::move(before)) {
  found_.reserve(before_->entries.size());
}

void RunCache::Rows::add(std::uint64_t checksum, BytesView value) {
  // A checksum covers the key, so one that was there stands for the same run. Behind a row that
  // came, changed or went the two go on side by side.
  constexpr std::size_t window = 64;
  sums_.add(checksum);
  const auto& before = before_->entries;
  const std::size_t end = std::min(before.size(), next_ + window);
  for (std::size_t i = next_; i < end; ++i) {
    if (before[i].checksum != checksum) continue;
    next_ = i + 1;
    found_.push_back({checksum, before[i].run, {}});
    return;
  }
  const BytesView payload = value.first(value.size() - sizeof checksum);
  found_.push_back({checksum, nullptr, {payload.begin(), payload.end()}});
}

RunCache::Rows RunCache::rows() const {
  const std::lock_guard guard(mutex_);
  return Rows(state_);
}

std::shared_ptr<const RunList> RunCache::list_of(Rows rows) {
  auto state = std::make_shared<State>();
  state->sums = rows.sums_;
  auto list = std::make_shared<RunList>();
  for (Rows::Found& one : rows.found_) {
    if (one.run == nullptr) one.run = std::make_shared<RunRecord>(decode_run(one.payload));
    state->entries.push_back({one.checksum, one.run});
    list->push_back(std::move(one.run));
  }
  std::sort(list->begin(), list->end(),
            [](const auto& a, const auto& b) { return created_before(*a, *b); });
  state->list = list;
  const std::lock_guard guard(mutex_);
  state_ = state;
  return state_->list;
}

}  // namespace ckp
