#include "compare/chunk_cache.h"

#include <algorithm>

#include "ckp/format/difference.h"
#include "ckp/format/patch.h"
#include "load/read_plan.h"

namespace ckp {
namespace {

// Enough for views whose rows cross several chunks of the usual size, and for the patches of one
// region (save/patched_region.h).
constexpr std::size_t capacity = std::size_t{64} << 20;
constexpr std::size_t most_entries = 256;

}  // namespace

const ChunkCache::Entry* ChunkCache::find(const Key& key) {
  const auto found = std::ranges::find(entries_, key, &Entry::key);
  if (found == entries_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, found);
  return &entries_.front();
}

std::span<const std::byte> ChunkCache::add(Entry entry) {
  while (!entries_.empty() &&
         (size_ + entry.bytes.size() > capacity || entries_.size() == most_entries)) {
    size_ -= entries_.back().bytes.size();
    entries_.pop_back();
  }
  size_ += entry.bytes.size();
  entries_.push_front(std::move(entry));
  return entries_.front().bytes;
}

std::span<const std::byte> ChunkCache::get(std::uint32_t reference) {
  const Key key{false, reference, 0};
  if (const Entry* const known = find(key)) return known->bytes;
  const format::ChunkReference& wanted = parts_.manifest.references[reference];
  Entry entry{key, std::vector<std::byte>(wanted.raw_size)};
  read_reference(parts_.packs, parts_.record.id, wanted, entry.bytes);
  return add(std::move(entry));
}

std::span<const std::byte> ChunkCache::get_patched(std::uint32_t storage, std::size_t piece,
                                                   std::uint64_t begin) {
  const Key key{true, storage, piece};
  if (const Entry* const known = find(key)) return known->bytes;
  const format::StoragePiece& stored = parts_.manifest.storages[storage].pieces[piece];
  if (stored.reference == format::no_reference) {
    Entry derived{key, std::vector<std::byte>(stored.length)};
    ReadPlan plan(parts_.manifest);
    plan.add_range(static_cast<std::uint32_t>(storage), begin, stored.length, derived.bytes.data());
    plan.run(
        [&](const format::ChunkReference& reference, std::span<std::byte> out) {
          read_reference(parts_.packs, parts_.record.id, reference, out);
        },
        1);
    return add(std::move(derived));
  }
  const auto chunk = get(stored.reference).subspan(stored.offset, stored.length);
  Entry entry{key, std::vector<std::byte>(chunk.begin(), chunk.end())};
  const auto number = static_cast<std::uint32_t>(piece);
  for (const format::Difference& each : parts_.manifest.differences_of(storage, number)) {
    format::apply_difference(each.kind, get(each.reference), entry.bytes);
  }
  for (const format::Patch& patch : parts_.manifest.patches_of(storage)) {
    if (!format::overlaps(patch, begin, stored.length)) continue;
    format::apply_patch(patch, get(patch.reference), begin, entry.bytes);
  }
  return add(std::move(entry));
}

}  // namespace ckp
