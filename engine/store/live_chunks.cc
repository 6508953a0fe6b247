#include "store/live_chunks.h"

#include "ckp/error.h"

namespace ckp {
namespace {

constexpr std::size_t candidates_per_chunk = 4;

}  // namespace

LiveChunks::LiveChunks(StoreCore& core, std::string run_directory,
                       const Checkpoint::Parts* previous, const Checkpoint::Parts* base)
    : core_(core), directory_(std::move(run_directory)), base_(base) {
  if (previous != nullptr) add_chunks_of(*previous);
  if (base != nullptr && base != previous) add_chunks_of(*base);
}

void LiveChunks::add_chunks_of(const Checkpoint::Parts& checkpoint) {
  // One question decides for all of them: a live checkpoint's chunks are all safe to refer to.
  const Uuid& pack = checkpoint.record.id;
  if (!core_.fs().status(core_.layout().run(directory_) / live_name(checkpoint.record))) return;
  packs_.insert(checkpoint.packs.begin(), checkpoint.packs.end());
  for (format::ChunkReference reference : checkpoint.manifest.references) {
    if (reference.address.pack.is_nil()) reference.address.pack = pack;
    known_.emplace(content_id(reference.raw_digest), reference);
    live_chunks_.insert(reference.address);
  }
}

std::vector<std::vector<format::ChunkReference>> LiveChunks::find(
    std::span<const Digest> raw_digests, std::span<const std::uint32_t> raw_sizes) {
  std::vector<std::vector<format::ChunkReference>> found(raw_digests.size());
  for (std::size_t i = 0; i < raw_digests.size(); ++i) {
    const auto known = known_.find(content_id(raw_digests[i]));
    if (known != known_.end() && known->second.raw_size == raw_sizes[i]) {
      found[i].push_back(known->second);
    }
  }
  add_from_index(raw_digests, found);
  return found;
}

void LiveChunks::add_from_index(std::span<const Digest> raw_digests,
                                std::vector<std::vector<format::ChunkReference>>& found) {
  try {
    core_.ask_for_save([&](const Index& index) {
      const auto rows = index.find_chunks(raw_digests, candidates_per_chunk);
      for (std::size_t i = 0; i < rows.size(); ++i) {
        for (const ChunkRow& row : rows[i]) {
          if (!is_live(row.address.pack, index)) continue;
          found[i].push_back({row.address, row.raw_digest, row.raw_size});
        }
      }
    });
  } catch (const Error&) {
    // Sharing is a saving, not a need: without the index everything is stored.
  }
}

bool LiveChunks::is_live(const Uuid& pack, const Index& index) {
  const auto known = live_.find(pack);
  if (known != live_.end()) return known->second;
  bool live = false;
  if (const auto checkpoint = index.checkpoint(pack)) {
    if (const auto run = index.run(checkpoint->run)) {
      const auto path = core_.layout().run(run->directory) / live_name(*checkpoint);
      try {
        if (core_.fs().status(path)) {
          if (!packs_.contains(pack)) packs_.emplace(pack, open_pack(core_.fs(), path));
          live = true;
        }
      } catch (const Error&) {
        // Unreadable: not shared.
      }
    }
  }
  live_.emplace(pack, live);
  return live;
}

bool LiveChunks::read(const format::ChunkReference& reference, std::span<std::byte> out) {
  try {
    read_reference(packs_, Uuid{}, reference, out);
    return true;
  } catch (const Error&) {
    return false;
  }
}

bool LiveChunks::is_live(const format::ChunkReference& unchanged) {
  return live_chunks_.contains(unchanged.address);
}

void LiveChunks::read_unchanged(const format::ChunkReference& unchanged, std::span<std::byte> out) {
  read_reference(base_->packs, Uuid{}, unchanged, out);
}

}  // namespace ckp
