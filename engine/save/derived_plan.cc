#include "save/derived_plan.h"

#include <algorithm>
#include <array>
#include <set>
#include <tuple>
#include <utility>

#include "ckp/error.h"
#include "ckp/format/rounding.h"
#include "save/parallel.h"

namespace ckp {
namespace {

constexpr std::size_t sample_size = 16;
// Of those that have the same sample (zeros, ones, averages of weights that rarely change), so many
// are looked at.
constexpr std::size_t most_candidates = 8;

using Sample = std::array<std::uint16_t, sample_size>;

// Each of whose chunks holds it and nothing else; chunks that follow each other.
bool has_own_chunks(const ChunkLayout& layout, std::uint32_t storage) {
  const auto& pieces = layout.storages[storage].pieces;
  return !pieces.empty() && std::ranges::all_of(pieces, [&](const format::StoragePiece& piece) {
    const PlannedChunk& chunk = layout.chunks[piece.reference];
    return chunk.part_count == 1 && piece.offset == 0 && piece.length == chunk.raw_size;
  });
}

std::map<Digest, std::uint32_t> storages_by_place(const ChunkLayout& layout,
                                                  std::span<const Digest> places) {
  std::map<Digest, std::uint32_t> storages;
  if (places.empty()) return storages;
  for (std::uint32_t s = 0; s < layout.storages.size(); ++s) {
    if (has_own_chunks(layout, s)) {
      storages.emplace(places[layout.storages[s].pieces.front().reference], s);
    }
  }
  return storages;
}

// Bytes [begin, end) of a chunk that lie in one range of its storage.
struct SourcePart {
  std::size_t chunk = 0;
  std::size_t begin = 0, end = 0;
};

// Where the range of `source` is that `chunk`, of two-byte numbers, is the rounding of; empty where
// there is none.
std::vector<SourcePart> source_parts(const ChunkLayout& layout, std::uint32_t source,
                                     const PlannedChunk& chunk) {
  const ChunkPart& part = layout.parts_of(chunk).front();
  const std::uint64_t begin = 2 * part.storage_offset;
  const std::uint64_t end = begin + 2 * std::uint64_t{part.size};
  std::vector<SourcePart> parts;
  if (part.storage_offset % 2 != 0 || part.size % 2 != 0) return parts;
  if (end > layout.storages[source].size) return parts;
  const auto& pieces = layout.storages[source].pieces;
  const std::uint64_t length = pieces.front().length;  // of all but the last
  for (std::uint64_t i = begin / length; i < pieces.size() && i * length < end; ++i) {
    const std::uint64_t at = i * length;
    parts.push_back(
        {pieces[i].reference, std::max(begin, at) - at, std::min(end, at + pieces[i].length) - at});
  }
  return parts;
}

std::optional<format::Rounding> rounding_to(DType dtype) {
  if (dtype == DType::bfloat16) return format::Rounding::bfloat16;
  if (dtype == DType::float16) return format::Rounding::float16;
  return std::nullopt;
}

// What the first tensor says that a storage holds. A guess: the bits decide.
std::vector<std::optional<DType>> dtypes_of_storages(const ChunkLayout& layout) {
  std::vector<std::optional<DType>> dtypes(layout.storages.size());
  for (const format::TensorEntry& tensor : layout.tensors) {
    if (!dtypes[tensor.storage]) dtypes[tensor.storage] = tensor.dtype;
  }
  return dtypes;
}

// Some elements of a storage that has chunks of its own, rounded or as they are; nothing when one
// of them has not changed, and is not at hand.
std::optional<Sample> sample_of(const ChunkLayout& layout, std::uint32_t storage,
                                std::uint64_t elements,
                                std::optional<format::Rounding> rounding = {}) {
  Sample sample{};
  const auto& pieces = layout.storages[storage].pieces;
  const std::uint64_t length = pieces.front().length;
  const std::size_t width = rounding ? 4 : 2;
  for (std::size_t i = 0; i < sample_size; ++i) {
    const std::uint64_t at = (elements - 1) * i / (sample_size - 1) * width;
    const PlannedChunk& chunk = layout.chunks[pieces[at / length].reference];
    const std::byte* const data = layout.parts_of(chunk).front().data;
    if (data == nullptr) return std::nullopt;
    const std::span element(data + at % length, width);
    const auto out = std::as_writable_bytes(std::span(&sample[i], 1));
    if (rounding) {
      format::round_floats(*rounding, element, out);
    } else {
      std::ranges::copy(element, out.begin());
    }
  }
  return sample;
}

}  // namespace

DerivedPlan::DerivedPlan(const ChunkLayout& layout, const ComparedState& compared)
    : layout_(layout), compared_(compared) {}

const Derivation* DerivedPlan::of(std::size_t chunk) const {
  if (chunk >= derivations_.size() || !derivations_[chunk]) return nullptr;
  return &*derivations_[chunk];
}

std::optional<CommittedDerivation> DerivedPlan::to_remember(std::size_t chunk) const {
  const Derivation* const one = of(chunk);
  if (one == nullptr) return std::nullopt;
  const std::uint32_t first = layout_.storages[one->source].pieces.front().reference;
  return CommittedDerivation{compared_.places[first], one->rounding};
}

void DerivedPlan::decide(const EncodeOptions& options, const ReadUnchanged& read,
                         unsigned threads) {
  derivations_.resize(layout_.chunks.size());
  storage_at_ = storages_by_place(layout_, compared_.places);
  keep_unchanged();
  if (options.compression == format::Compression::none) return;
  const std::vector<Candidates> all = find_candidates();
  std::vector<std::pair<std::size_t, const Candidates*>> chunks;
  for (const Candidates& each : all) {
    if (each.sources.empty()) continue;
    for (const format::StoragePiece& piece : layout_.storages[each.storage].pieces) {
      const bool is_changed =
          compared_.unchanged.empty() || compared_.unchanged[piece.reference] == nullptr;
      if (is_changed) chunks.emplace_back(piece.reference, &each);
    }
  }
  parallel_for(chunks.size(), threads, [&](std::size_t i) {
    const auto& [chunk, candidates] = chunks[i];
    for (const std::uint32_t source : candidates->sources) {
      const Derivation from{source, candidates->rounding};
      if (!is_rounding(chunk, from, read)) continue;
      derivations_[chunk] = from;
      return;
    }
  });
}

void DerivedPlan::keep_unchanged() {
  for (std::size_t i = 0; i < compared_.unchanged.size(); ++i) {
    const CommittedChunk* const same = compared_.unchanged[i];
    if (same == nullptr || !same->derived) continue;
    derivations_[i] = Derivation{storage_at_.at(same->derived->source), same->derived->rounding};
  }
}

// What chunks of the storage were derived from when they were committed.
std::vector<std::uint32_t> DerivedPlan::sources_before(std::uint32_t storage) const {
  std::vector<std::uint32_t> sources;
  if (compared_.committed == nullptr) return sources;
  for (const format::StoragePiece& piece : layout_.storages[storage].pieces) {
    const auto before = compared_.committed->find(compared_.places[piece.reference]);
    if (before == compared_.committed->end() || !before->second.derived) continue;
    const auto found = storage_at_.find(before->second.derived->source);
    if (found == storage_at_.end()) continue;
    if (std::ranges::find(sources, found->second) == sources.end()) {
      sources.push_back(found->second);
    }
  }
  return sources;
}

std::vector<DerivedPlan::Candidates> DerivedPlan::find_candidates() const {
  std::vector<Candidates> all;
  const auto dtypes = dtypes_of_storages(layout_);
  std::set<format::Rounding> wanted;
  for (std::uint32_t s = 0; s < dtypes.size(); ++s) {
    const auto rounding = dtypes[s] ? rounding_to(*dtypes[s]) : std::nullopt;
    if (!rounding || !has_own_chunks(layout_, s)) continue;
    wanted.insert(*rounding);
    all.push_back({s, *rounding, sources_before(s)});
  }
  using Key = std::tuple<std::uint64_t, format::Rounding, Sample>;
  std::map<Key, std::vector<std::uint32_t>> sources;
  for (std::uint32_t s = 0; s < dtypes.size() && !wanted.empty(); ++s) {
    const std::uint64_t elements = layout_.storages[s].size / 4;
    if (dtypes[s] != DType::float32 || elements == 0 || !has_own_chunks(layout_, s)) continue;
    for (const format::Rounding rounding : wanted) {
      const auto sample = sample_of(layout_, s, elements, rounding);
      if (sample) sources[{elements, rounding, *sample}].push_back(s);
    }
  }
  for (Candidates& each : all) {
    const std::uint64_t elements = layout_.storages[each.storage].size / 2;
    const auto sample = elements != 0 ? sample_of(layout_, each.storage, elements) : std::nullopt;
    const auto found = sample ? sources.find({elements, each.rounding, *sample}) : sources.end();
    if (found == sources.end()) continue;
    for (const std::uint32_t source : found->second) {
      if (each.sources.size() == most_candidates) break;
      if (std::ranges::find(each.sources, source) == each.sources.end()) {
        each.sources.push_back(source);
      }
    }
  }
  return all;
}

bool DerivedPlan::is_rounding(std::size_t chunk, const Derivation& from,
                              const ReadUnchanged& read) const {
  const PlannedChunk& planned = layout_.chunks[chunk];
  const std::byte* const rounded = layout_.parts_of(planned).front().data;
  const auto parts = source_parts(layout_, from.source, planned);
  std::vector<std::byte> scratch;
  std::size_t done = 0;
  for (const SourcePart& part : parts) {
    const std::byte* const data = layout_.parts_of(layout_.chunks[part.chunk]).front().data;
    std::span<const std::byte> bytes;
    try {
      bytes = data != nullptr ? std::span(data, part.end) : read(part.chunk, scratch);
    } catch (const Error&) {
      return false;  // nothing is built on it
    }
    bytes = bytes.subspan(part.begin, part.end - part.begin);
    const std::size_t size = bytes.size() / 2;
    if (!format::is_rounding(from.rounding, bytes, {rounded + done, size})) return false;
    done += size;
  }
  return !parts.empty();
}

void keep_with_sources(const ChunkLayout& layout, std::span<const Digest> places,
                       UnchangedChunks& unchanged) {
  const auto is_derived = [](const CommittedChunk* same) {
    return same != nullptr && same->derived.has_value();
  };
  if (std::ranges::none_of(unchanged, is_derived)) return;
  const auto storages = storages_by_place(layout, places);
  for (std::size_t i = 0; i < unchanged.size(); ++i) {
    if (!is_derived(unchanged[i])) continue;
    const auto source = storages.find(unchanged[i]->derived->source);
    std::vector<SourcePart> parts;
    if (source != storages.end()) parts = source_parts(layout, source->second, layout.chunks[i]);
    // Sources are not derived, so that their own answers stand.
    const bool is_kept = !parts.empty() && std::ranges::all_of(parts, [&](const SourcePart& part) {
      return unchanged[part.chunk] != nullptr && !unchanged[part.chunk]->derived;
    });
    if (!is_kept) unchanged[i] = nullptr;
  }
}

}  // namespace ckp
