#include "compare/chunk_cache.h"

#include <algorithm>

namespace ckp {
namespace {

// Enough for views whose rows cross several chunks of the usual size.
constexpr std::size_t capacity = std::size_t{16} << 20;
constexpr std::size_t most_entries = 64;

}  // namespace

std::span<const std::byte> ChunkCache::get(std::uint32_t reference) {
  const auto found = std::find_if(entries_.begin(), entries_.end(),
                                  [&](const Entry& each) { return each.reference == reference; });
  if (found != entries_.end()) {
    entries_.splice(entries_.begin(), entries_, found);
    return entries_.front().bytes;
  }
  const format::ChunkReference& wanted = parts_.manifest.references[reference];
  while (!entries_.empty() &&
         (size_ + wanted.raw_size > capacity || entries_.size() == most_entries)) {
    size_ -= entries_.back().bytes.size();
    entries_.pop_back();
  }
  Entry entry{reference, std::vector<std::byte>(wanted.raw_size)};
  read_reference(parts_.packs, parts_.record.id, wanted, entry.bytes);
  size_ += entry.bytes.size();
  entries_.push_front(std::move(entry));
  return entries_.front().bytes;
}

}  // namespace ckp
