#include "save/committed_state.h"

#include <algorithm>
#include <cstring>

#include "io/host.h"
#include "save/buffer_pool.h"
#include "save/derived_plan.h"
#include "save/finite_check.h"
#include "save/parallel.h"

namespace ckp {
namespace {

constexpr std::size_t head_size = 4096;

// What a place is made of, put together to be hashed.
class Description {
 public:
  template <typename T>
  void add(const T& value) {
    append(std::as_bytes(std::span(&value, 1)));
  }
  template <typename T>
  void add_all(const T& values) {
    add(values.size());
    append(std::as_bytes(std::span(values)));
  }
  // Begins anew afterwards.
  Digest take_digest() {
    const Digest digest = digest_of(bytes_);
    bytes_.clear();
    return digest;
  }

 private:
  void append(std::span<const std::byte> bytes) {
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  }
  std::vector<std::byte> bytes_;
};

// By storage: all tensors that look at it, and how.
std::vector<Digest> describe_storages(const ChunkLayout& layout) {
  std::vector<Digest> storages(layout.spans.size());
  Description description;
  for (std::size_t i = 0; i < layout.tensors.size(); ++i) {
    const format::TensorEntry& tensor = layout.tensors[i];
    description.add(storages[tensor.storage]);
    description.add_all(tensor.name);
    description.add(tensor.dtype);
    description.add(layout.check_finite[i]);
    description.add(tensor.storage_offset);
    description.add_all(tensor.shape);
    description.add_all(tensor.strides);
    storages[tensor.storage] = description.take_digest();
  }
  return storages;
}

}  // namespace

Fingerprinter::Fingerprinter() {
  const Uuid random = random_uuid();
  std::memcpy(&seed_, random.bytes.data(), sizeof seed_);
}

Digest Fingerprinter::head(std::span<const std::byte> chunk) const {
  return seeded_digest_of(chunk.first(std::min(chunk.size(), head_size)), seed_);
}

Digest Fingerprinter::whole(std::span<const std::byte> chunk) const {
  return seeded_digest_of(chunk, seed_);
}

RowHashes Fingerprinter::rows(std::span<const std::byte> chunk) const {
  RowHashes hashes;
  hashes.reserve(chunk.size() / patch_row_size + 1);
  while (!chunk.empty()) {
    const auto row = chunk.first(std::min<std::size_t>(patch_row_size, chunk.size()));
    hashes.push_back(seeded_digest_of(row, seed_).low);
    chunk = chunk.subspan(row.size());
  }
  return hashes;
}

std::vector<Digest> chunk_places(const ChunkLayout& layout) {
  const std::vector<Digest> storages = describe_storages(layout);
  std::vector<Digest> places;
  places.reserve(layout.chunks.size());
  Description description;
  for (const PlannedChunk& chunk : layout.chunks) {
    description.add(chunk.scalar_size);
    for (const ChunkPart& part : layout.parts_of(chunk)) {
      description.add(storages[part.storage]);
      description.add(part.storage_offset);
      description.add(part.offset);
      description.add(part.size);
    }
    places.push_back(description.take_digest());
  }
  return places;
}

UnchangedChunks find_unchanged(const ChunkLayout& layout, std::span<const Digest> places,
                               const CommittedState::Chunks* committed,
                               const Fingerprinter& fingerprinter, unsigned threads) {
  UnchangedChunks unchanged(layout.chunks.size());
  if (committed == nullptr || committed->empty()) return unchanged;
  const std::vector<bool> whole = storages_checked_whole(layout);
  BufferPool buffers;
  parallel_for(layout.chunks.size(), threads, [&](std::size_t i) {
    const auto before = committed->find(places[i]);
    if (before == committed->end()) return;
    const auto parts = layout.parts_of(layout.chunks[i]);
    if (std::ranges::any_of(parts, [&](const ChunkPart& part) { return whole[part.storage]; })) {
      return;
    }
    const auto scratch = buffers.take();
    const auto bytes = chunk_bytes(layout, layout.chunks[i], *scratch);
    if (fingerprinter.matches(bytes, before->second.fingerprint)) unchanged[i] = &before->second;
  });
  keep_with_sources(layout, places, unchanged);
  return unchanged;
}

}  // namespace ckp
