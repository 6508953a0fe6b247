// Three passes over the chunks: find those that are the rounding of others, hash those that have
// changed, look for NaN, and decide which rows make patches and where differences pay; find which
// chunks are stored already; encode and write the rest. Only the second needs to see all chunks at
// once. A new patch is one more chunk, numbered behind the layout's; a difference takes the place
// of its chunk.
#include "save/state_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <map>
#include <optional>
#include <unordered_map>

#include "ckp/error.h"
#include "ckp/format/difference.h"
#include "ckp/format/limits.h"
#include "ckp/format/patch.h"
#include "save/buffer_pool.h"
#include "save/chunk_layout.h"
#include "save/derived_plan.h"
#include "save/difference_plan.h"
#include "save/finite_check.h"
#include "save/parallel.h"
#include "save/reference_numbers.h"
#include "save/region_plan.h"

namespace ckp {
namespace {

using SteadyClock = std::chrono::steady_clock;

std::int64_t nanoseconds_since(SteadyClock::time_point start) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(SteadyClock::now() - start).count();
}

// Raw bytes.
constexpr std::size_t encode_ahead = std::size_t{12} << 20;

// Of unchanged chunks, how many a save reads back.
constexpr std::size_t read_back_per_save = 16;

bool equal(std::span<const std::byte> a, std::span<const std::byte> b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0);
}

class StateWriter {
 public:
  StateWriter(ChunkLayout layout, const ComparedState& compared, format::PackWriter& writer,
              ChunkFinder* finder, const EncodeOptions& options)
      : compared_(compared),
        writer_(writer),
        finder_(finder),
        options_(options),
        threads_(thread_count(options.threads, layout.raw_size())),
        layout_(std::move(layout)),
        finite_(layout_),
        derived_(layout_, compared_),
        regions_(layout_, compared_),
        differences_(layout_, compared_, regions_, options),
        digests_(layout_.chunks.size()),
        reference_of_(layout_.chunks.size()) {
    if (compared_.fingerprinter != nullptr) out_.chunks.resize(layout_.chunks.size());
  }

  WrittenState run(Value::Map values) {
    const auto start = SteadyClock::now();
    find_derived();
    hash();
    plan_patches();
    out_.hash_ns = nanoseconds_since(start);
    find_repeats();
    if (finder_ != nullptr) find_stored();
    write_chunks();
    describe(std::move(values));
    out_.encode_ns = nanoseconds_since(start) - out_.hash_ns - out_.write_ns;
    return std::move(out_);
  }

 private:
  using Reference = format::ChunkReference;

  bool is_patch(std::size_t chunk) const { return chunk >= layout_.chunks.size(); }
  const RegionPlan::NewPatch& patch(std::size_t chunk) const {
    return regions_.new_patches()[chunk - layout_.chunks.size()];
  }
  std::size_t scalar_size(std::size_t chunk) const {
    if (is_patch(chunk)) chunk = regions_.regions()[patch(chunk).region].first_chunk;
    return layout_.chunks[chunk].scalar_size;
  }

  std::span<const std::byte> bytes_of(std::size_t chunk, std::vector<std::byte>& scratch) const {
    if (is_patch(chunk)) {
      regions_.encode(patch(chunk), scratch);
      return scratch;
    }
    return chunk_bytes(layout_, layout_.chunks[chunk], scratch);
  }

  // Null: it has changed.
  const CommittedChunk* unchanged(std::size_t chunk) const {
    return compared_.unchanged.empty() || is_patch(chunk) ? nullptr : compared_.unchanged[chunk];
  }

  void find_derived() {
    derived_.decide(
        options_,
        [this](std::size_t chunk, std::vector<std::byte>& out) {
          return read_unchanged(chunk, out);
        },
        threads_);
    for (std::size_t i = 0; i < layout_.chunks.size(); ++i) {
      if (derived_.of(i) == nullptr) continue;
      regions_.leave_out(i);
      ++out_.chunks_derived;
    }
  }

  void hash() {
    std::atomic<bool> nonfinite{false};
    const std::size_t chunks = layout_.chunks.size();
    parallel_for(chunks + finite_.strided_count(), threads_, [&](std::size_t i) {
      const bool found = i < chunks ? hash_chunk(i) : finite_.is_strided_nonfinite(i - chunks);
      if (found) nonfinite = true;
    });
    out_.nonfinite = nonfinite;
  }

  // Whether it has a NaN or an infinity in it.
  bool hash_chunk(std::size_t chunk) {
    if (const CommittedChunk* const same = unchanged(chunk)) {
      digests_[chunk] = same->reference.raw_digest;
      if (!out_.chunks.empty()) out_.chunks[chunk] = *same;
      return same->nonfinite;
    }
    const auto scratch = buffers_.take();
    const auto bytes = bytes_of(chunk, *scratch);
    const bool is_derived = derived_.of(chunk) != nullptr;
    if (!is_derived) digests_[chunk] = digest_of(bytes);
    const auto parts = layout_.parts_of(layout_.chunks[chunk]);
    const bool nonfinite = std::ranges::any_of(
        parts, [&](const ChunkPart& part) { return finite_.is_nonfinite(part); });
    if (!out_.chunks.empty()) {
      out_.chunks[chunk].fingerprint = (*compared_.fingerprinter)(bytes);
      out_.chunks[chunk].nonfinite = nonfinite;
      if (!is_derived && regions_.wants_rows(chunk)) {
        out_.chunks[chunk].rows =
            std::make_shared<const RowHashes>(compared_.fingerprinter->rows(bytes));
      }
    }
    return nonfinite;
  }

  void plan_patches() {
    if (finder_ != nullptr) {
      regions_.decide(out_.chunks, *finder_, threads_);
      differences_.decide(*finder_, threads_);
      find_lost();
    }
    for (std::size_t i = 0; i < layout_.chunks.size(); ++i) {
      raw_sizes_.push_back(layout_.chunks[i].raw_size);
    }
    const std::size_t all = layout_.chunks.size() + regions_.new_patches().size();
    raw_sizes_.resize(all);
    digests_.resize(all);
    reference_of_.resize(all);
    parallel_for(all, threads_, [&](std::size_t i) {
      if (!is_patch(i) && !is_flattened(i)) return;
      const auto scratch = buffers_.take();
      const auto bytes = is_patch(i) ? bytes_of(i, *scratch) : read_unchanged(i, *scratch);
      digests_[i] = digest_of(bytes);
      raw_sizes_[i] = static_cast<std::uint32_t>(bytes.size());
    });
  }

  // Unchanged chunks with differences of which something is live no more: stored whole.
  void find_lost() {
    lost_.resize(layout_.chunks.size());
    for (std::size_t i = 0; i < lost_.size(); ++i) {
      const CommittedChunk* const same = unchanged(i);
      lost_[i] = same != nullptr && !same->differences.empty() && !is_live(*same, *finder_);
    }
  }

  // Gives every distinct chunk a reference; equal chunks of this state get the same one. The
  // content id only proposes, bytes decide; unchanged chunks are equal if they are stored once.
  void find_repeats() {
    const auto hash = [](const Digest& id) { return static_cast<std::size_t>(id.low ^ id.high); };
    repeated_.resize(digests_.size());
    std::unordered_multimap<Digest, std::size_t, decltype(hash)> seen(digests_.size(), hash);
    for (std::size_t i = 0; i < digests_.size(); ++i) {
      if (!is_patch(i) && regions_.patched_region(i) != nullptr) continue;
      if (derived_.of(i) != nullptr) {
        reference_of_[i] = format::no_reference;
        continue;
      }
      const Digest id = content_id(digests_[i]);
      const auto [begin, end] = seen.equal_range(id);
      const auto same = std::find_if(
          begin, end, [&](const auto& candidate) { return is_same(candidate.second, i); });
      if (same != end) {
        reference_of_[i] = reference_of_[same->second];
        repeated_[same->second] = true;
        count_shared(i);
        continue;
      }
      seen.emplace(id, i);
      reference_of_[i] = static_cast<std::uint32_t>(first_chunks_.size());
      first_chunks_.push_back(i);
    }
    references_.resize(first_chunks_.size());
  }

  bool is_same(std::size_t a, std::size_t b) const {
    if (raw_sizes_[a] != raw_sizes_[b]) return false;
    if (is_flattened(a) || is_flattened(b)) return false;
    const CommittedChunk* const stored_a = unchanged(a);
    const CommittedChunk* const stored_b = unchanged(b);
    if (stored_a != nullptr && stored_b != nullptr) {
      return stored_a->reference.address == stored_b->reference.address;
    }
    if (stored_a != nullptr || stored_b != nullptr) return false;  // there are no bytes to compare
    const auto scratch_a = buffers_.take();
    const auto scratch_b = buffers_.take();
    return equal(bytes_of(a, *scratch_a), bytes_of(b, *scratch_b));
  }

  bool is_flattened(std::size_t chunk) const {
    return !is_patch(chunk) && (regions_.is_flattened(chunk) || (!lost_.empty() && lost_[chunk]));
  }

  void find_stored() {
    std::vector<std::size_t> asked;  // indices into first_chunks_
    std::vector<Reference> kept;
    for (std::size_t i = 0; i < first_chunks_.size(); ++i) {
      const CommittedChunk* const same = unchanged(first_chunks_[i]);
      if (same == nullptr) {
        asked.push_back(i);
      } else if (!is_flattened(first_chunks_[i]) && finder_->is_live(same->reference)) {
        references_[i] = same->reference;
        kept.push_back(same->reference);
        for (const CommittedDifference& each : same->differences) kept.push_back(each.reference);
      }
    }
    for (const Region& region : regions_.regions()) {
      if (regions_.patched_region(region.first_chunk) == nullptr) continue;
      for (std::size_t i = 0; i < region.chunk_count; ++i) {
        kept.push_back(regions_.committed(region.first_chunk + i)->reference);
      }
      if (const auto before = regions_.patches_before(region)) {
        kept.insert(kept.end(), before->patches.begin(), before->patches.end());
      }
    }
    read_some_back(kept);
    propose(asked);
  }

  void read_some_back(const std::vector<Reference>& kept) {
    const std::size_t stride = kept.size() / read_back_per_save + 1;
    std::vector<Reference> chosen;
    for (std::size_t i = compared_.turn % stride; i < kept.size(); i += stride)
      chosen.push_back(kept[i]);
    parallel_for(chosen.size(), threads_, [&](std::size_t i) {
      const auto scratch = buffers_.take();
      read_shared(chosen[i], *scratch);
    });
  }

  std::span<const std::byte> read_unchanged(std::size_t chunk, std::vector<std::byte>& out) {
    const CommittedChunk& same = *unchanged(chunk);
    read_shared(same.reference, out);
    const auto raw = buffers_.take();
    for (const CommittedDifference& each : same.differences) {
      read_shared(each.reference, *raw);
      format::apply_difference(each.kind, *raw, out);
    }
    if (same.patched == nullptr) return out;
    const std::uint64_t begin = layout_.parts_of(layout_.chunks[chunk]).front().storage_offset;
    for (const Reference& reference : same.patched->patches) {
      read_shared(reference, *raw);
      const format::Patch patch{0, 0, same.patched->begin, same.patched->length};
      format::apply_patch(patch, *raw, begin, out);
    }
    return out;
  }

  void read_shared(const Reference& reference, std::vector<std::byte>& out) {
    out.resize(reference.raw_size);
    try {
      finder_->read_unchanged(reference, out);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::corrupt) throw;
      throw Error(ErrorCode::corrupt,
                  fmt::format("{}; this checkpoint would have shared it: it was not saved, and the "
                              "next save stores everything anew",
                              error.what()));
    }
  }

  void propose(const std::vector<std::size_t>& asked) {
    std::vector<Digest> digests;
    std::vector<std::uint32_t> sizes;
    for (const std::size_t i : asked) {
      digests.push_back(digests_[first_chunks_[i]]);
      sizes.push_back(raw_sizes_[first_chunks_[i]]);
    }
    const auto candidates = finder_->find(digests, sizes);
    if (candidates.size() != digests.size()) {
      throw Error(ErrorCode::invalid_argument,
                  fmt::format("ChunkFinder::find: {} answers to {} questions", candidates.size(),
                              digests.size()));
    }
    parallel_for(candidates.size(), threads_, [&](std::size_t i) {
      for (const Reference& candidate : candidates[i]) {
        if (!holds_chunk(candidate, first_chunks_[asked[i]])) continue;
        references_[asked[i]] = Reference{candidate.address, digests[i], sizes[i]};
        break;
      }
    });
  }

  bool holds_chunk(const Reference& candidate, std::size_t chunk) const {
    if (candidate.raw_size != raw_sizes_[chunk]) return false;
    const auto stored = buffers_.take();
    stored->resize(candidate.raw_size);
    if (!finder_->read(candidate, *stored)) return false;
    const auto scratch = buffers_.take();
    return equal(bytes_of(chunk, *scratch), *stored);
  }

  void write_chunks() {
    std::vector<std::size_t> to_write;  // indices into first_chunks_
    for (std::size_t i = 0; i < first_chunks_.size(); ++i) {
      if (references_[i]) {
        count_shared(first_chunks_[i]);
      } else {
        to_write.push_back(i);
      }
    }
    struct Slot {
      BufferPool::Lease scratch;
      std::span<const std::byte> raw;
      std::optional<DifferencePlan::Made> difference;
      Digest digest;  // of what is encoded
      format::Codec codec = format::Codec::raw;
      std::vector<std::byte> encoded;
    };
    // Enough to go on encoding while the disk takes a buffer.
    const std::size_t window = 2 * std::size_t{threads_} + encode_ahead / options_.chunk_size;
    std::vector<Slot> slots(window);
    const auto work = [&](std::size_t i) {
      Slot& slot = slots[i % window];
      const std::size_t chunk = first_chunks_[to_write[i]];
      slot.scratch = buffers_.take();
      slot.raw = unchanged(chunk) != nullptr ? read_unchanged(chunk, *slot.scratch)
                                             : bytes_of(chunk, *slot.scratch);
      slot.digest = digests_[chunk];
      if (finder_ != nullptr && !repeated_[chunk]) {
        slot.difference = differences_.make(chunk, *finder_);
        if (slot.difference) {
          slot.raw = *slot.difference->bytes;
          slot.digest = digest_of(slot.raw);
        }
      }
      slot.codec = format::encode(slot.raw, scalar_size(chunk), options_.compression, slot.encoded);
    };
    const auto consume = [&](std::size_t i) {
      Slot& slot = slots[i % window];
      const bool raw = slot.codec == format::Codec::raw;
      const std::size_t chunk = first_chunks_[to_write[i]];
      const Reference added =
          add_chunk(chunk, slot.digest, slot.codec, raw ? slot.raw : slot.encoded);
      references_[to_write[i]] =
          slot.difference ? add_difference(chunk, added, slot.difference->kind) : added;
      ++(slot.difference   ? out_.differences_written
         : is_patch(chunk) ? out_.patches_written
                           : out_.chunks_written);
      slot.difference.reset();
      slot.scratch.reset();
    };
    parallel_ordered(to_write.size(), threads_, window, work, consume);
  }

  Reference add_chunk(std::size_t chunk, const Digest& digest, format::Codec codec,
                      std::span<const std::byte> stored) {
    const auto start = SteadyClock::now();
    const std::uint32_t raw_size = raw_sizes_[chunk];
    const std::uint32_t number = writer_.add_chunk(digest, raw_size, codec, stored);
    out_.write_ns += nanoseconds_since(start);
    return Reference{{Uuid{}, number}, digest, raw_size};
  }

  // The chunk becomes what was committed, and one difference more; returns the reference of the
  // former.
  Reference add_difference(std::size_t chunk, const Reference& added, format::DifferenceKind kind) {
    const CommittedChunk& before = *regions_.committed(chunk);
    auto& all = made_[chunk];
    all = before.differences;
    all.push_back({added, kind});
    return before.reference;
  }

  void count_shared(std::size_t chunk) {
    ++out_.chunks_shared;
    out_.bytes_shared += raw_sizes_[chunk];
  }

  void describe(Value::Map values) {
    out_.manifest.values = std::move(values);
    out_.manifest.references.reserve(references_.size());
    for (const auto& reference : references_) out_.manifest.references.push_back(*reference);
    describe_patched();
    describe_differences();
    describe_derived();
    for (std::size_t i = 0; i < out_.chunks.size(); ++i) {
      CommittedChunk& chunk = out_.chunks[i];
      chunk.derived = derived_.to_remember(i);
      if (chunk.derived) continue;
      chunk.reference = out_.manifest.references[reference_of_[i]];
      if (regions_.patched_region(i) == nullptr) chunk.patched = nullptr;
      if (!stays(i)) differences_.remember(i, differences_of(i), chunk);
    }
    out_.manifest.storages = std::move(layout_.storages);
    for (format::StorageEntry& storage : out_.manifest.storages) {
      for (format::StoragePiece& piece : storage.pieces) {
        piece.reference = reference_of_[piece.reference];
      }
    }
    out_.manifest.tensors = std::move(layout_.tensors);
  }

  void describe_patched() {
    if (std::ranges::none_of(regions_.regions(), [&](const Region& region) {
          return regions_.patched_region(region.first_chunk) != nullptr;
        })) {
      return;
    }
    auto& references = out_.manifest.references;
    ReferenceNumbers number_of(references);
    std::map<std::size_t, Reference> added;  // by region
    for (std::size_t i = 0; i < regions_.new_patches().size(); ++i) {
      const RegionPlan::NewPatch& patch = regions_.new_patches()[i];
      added.emplace(patch.region, references[reference_of_[layout_.chunks.size() + i]]);
      out_.bytes_shared -= patch.row_bytes;
    }
    for (std::size_t r = 0; r < regions_.regions().size(); ++r) {
      const Region& region = regions_.regions()[r];
      if (regions_.patched_region(region.first_chunk) == nullptr) continue;
      auto patches = regions_.patches_before(region);
      if (const auto patch = added.find(r); patch != added.end()) {
        patches = std::make_shared<RegionPatches>(with_patch(region, patches.get(), patch->second));
      }
      for (std::size_t i = 0; i < region.chunk_count; ++i) {
        const std::size_t chunk = region.first_chunk + i;
        reference_of_[chunk] = number_of(regions_.committed(chunk)->reference);
        out_.chunks[chunk].patched = patches;
        count_shared(chunk);
      }
      for (const Reference& patch : patches->patches) {
        out_.manifest.patches.push_back(
            {region.storage, number_of(patch), region.begin, region.length});
      }
    }
    std::ranges::stable_sort(out_.manifest.patches, {}, &format::Patch::storage);
  }

  // Of the pieces, while they still are the layout's.
  void describe_differences() {
    std::optional<ReferenceNumbers> number_of;
    for (std::uint32_t s = 0; s < layout_.storages.size(); ++s) {
      const auto& pieces = layout_.storages[s].pieces;
      for (std::uint32_t p = 0; p < pieces.size(); ++p) {
        for (const CommittedDifference& each : differences_of(pieces[p].reference)) {
          if (!number_of) number_of.emplace(out_.manifest.references);
          out_.manifest.differences.push_back({s, p, (*number_of)(each.reference), each.kind});
        }
      }
    }
  }

  // Likewise.
  void describe_derived() {
    for (std::uint32_t s = 0; s < layout_.storages.size(); ++s) {
      const auto& pieces = layout_.storages[s].pieces;
      for (std::uint32_t p = 0; p < pieces.size(); ++p) {
        const Derivation* const derived = derived_.of(pieces[p].reference);
        if (derived == nullptr) continue;
        out_.manifest.derived.push_back({s, p, derived->source, derived->rounding});
      }
    }
  }

  // Whether a chunk is referred to as it was committed.
  bool stays(std::size_t chunk) const {
    return unchanged(chunk) != nullptr && !is_flattened(chunk);
  }

  std::span<const CommittedDifference> differences_of(std::size_t chunk) const {
    if (stays(chunk)) return unchanged(chunk)->differences;
    const auto made = made_.find(chunk);
    return made == made_.end() ? std::span<const CommittedDifference>{} : made->second;
  }

  const ComparedState& compared_;
  format::PackWriter& writer_;
  ChunkFinder* const finder_;
  const EncodeOptions& options_;
  const unsigned threads_;
  ChunkLayout layout_;
  FiniteCheck finite_;
  DerivedPlan derived_;
  RegionPlan regions_;
  DifferencePlan differences_;
  mutable BufferPool buffers_;
  std::vector<Digest> digests_;                       // by chunk
  std::vector<std::uint32_t> raw_sizes_;              // by chunk
  std::vector<std::uint32_t> reference_of_;           // by chunk; or no_reference: it is derived
  std::vector<std::size_t> first_chunks_;             // by reference: the first chunk that has it
  std::vector<std::optional<Reference>> references_;  // empty: not stored yet
  std::vector<bool> lost_;                            // by chunk, see find_lost()
  std::vector<bool> repeated_;                        // by chunk: others have its reference
  std::map<std::size_t, std::vector<CommittedDifference>> made_;  // by chunk that got one more
  WrittenState out_;
};

}  // namespace

WrittenState write_state(const StateDict& state, format::PackWriter& writer, ChunkFinder* finder,
                         const EncodeOptions& options) {
  check_chunk_size(options.chunk_size);
  state.wait_readable();
  return write_layout(plan_chunks(state, options.chunk_size), {}, state.values(), writer, finder,
                      options);
}

WrittenState write_layout(ChunkLayout layout, const ComparedState& compared, Value::Map values,
                          format::PackWriter& writer, ChunkFinder* finder,
                          const EncodeOptions& options) {
  return StateWriter(std::move(layout), compared, writer, finder, options).run(std::move(values));
}

}  // namespace ckp
