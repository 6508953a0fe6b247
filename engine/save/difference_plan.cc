#include "save/difference_plan.h"

#include <algorithm>
#include <utility>

#include "ckp/error.h"
#include "ckp/format/difference.h"
#include "save/parallel.h"

namespace ckp {
namespace {

// Of a chunk that was stored whole. Reading costs so many decodings more.
constexpr std::size_t most_differences = 2;
// Where they did not pay, they are tried again in every so many saves.
constexpr std::uint64_t try_differences_again = 64;

// Regions that began together do not all reach their limit in one save: their second round, and no
// other, is of different lengths.
std::size_t limit_of(const CommittedChunk& before, const Digest& place) {
  return before.rounds == 1 ? place.high % (most_differences + 1) : most_differences;
}

double part_that_pays(const EncodeOptions& options) {
  if (!options.differences) return 0;
  switch (options.compression) {
    case format::Compression::balanced:
      return 0.875;
    case format::Compression::archive:
      return 0.98;
    case format::Compression::none:
    case format::Compression::fast:
      break;
  }
  return 0;
}

}  // namespace

bool is_live(const CommittedChunk& chunk, ChunkFinder& finder) {
  return finder.is_live(chunk.reference) &&
         std::ranges::all_of(chunk.differences, [&](const CommittedDifference& each) {
           return finder.is_live(each.reference);
         });
}

DifferencePlan::DifferencePlan(const ChunkLayout& layout, const ComparedState& compared,
                               const RegionPlan& regions, const EncodeOptions& options)
    : layout_(layout),
      compared_(compared),
      regions_(regions),
      largest_part_(part_that_pays(options)) {}

bool DifferencePlan::is_candidate(std::size_t chunk, ChunkFinder& finder) const {
  const CommittedChunk* const before = regions_.committed(chunk);
  return before != nullptr && compared_.unchanged[chunk] == nullptr &&
         regions_.patched_region(chunk) == nullptr && before->patched == nullptr &&
         before->reference.raw_size == layout_.chunks[chunk].raw_size &&
         before->differences.size() < limit_of(*before, compared_.places[chunk]) &&
         is_live(*before, finder);
}

void DifferencePlan::decide(ChunkFinder& finder, unsigned threads) {
  if (compared_.committed == nullptr || compared_.fingerprinter == nullptr) return;
  trials_.assign(layout_.chunks.size(), DifferenceTrial::unknown);
  wanted_.assign(layout_.chunks.size(), false);
  struct Probe {
    std::vector<std::size_t> chunks;  // it stands for these
    DifferenceTrial result = DifferenceTrial::unknown;
  };
  std::vector<Probe> probes;
  for (const Region& region : regions_.regions()) {
    Probe probe;
    for (std::size_t i = 0; i < region.chunk_count; ++i) {
      const std::size_t chunk = region.first_chunk + i;
      if (const CommittedChunk* const before = regions_.committed(chunk)) {
        trials_[chunk] = before->trial;
      }
      if (largest_part_ == 0 || !is_candidate(chunk, finder)) continue;
      if (trials_[chunk] == DifferenceTrial::unknown) probe.chunks.push_back(chunk);
      wanted_[chunk] = trials_[chunk] == DifferenceTrial::pays ||
                       (trials_[chunk] == DifferenceTrial::fails &&
                        (compared_.turn + chunk) % try_differences_again == 0);
    }
    if (!probe.chunks.empty()) probes.push_back(std::move(probe));
  }
  parallel_for(probes.size(), threads, [&](std::size_t i) {
    Probe& probe = probes[i];
    for (auto chunk = probe.chunks.rbegin(); chunk != probe.chunks.rend(); ++chunk) {
      const auto before = read_committed(*chunk, finder);
      if (before == nullptr) continue;
      probe.result = judge(*chunk, *before) ? DifferenceTrial::pays : DifferenceTrial::fails;
      break;
    }
  });
  for (const Probe& probe : probes) {
    for (const std::size_t chunk : probe.chunks) {
      trials_[chunk] = probe.result;
      wanted_[chunk] = probe.result == DifferenceTrial::pays;
    }
  }
}

// Null: it cannot be read, and nothing is built on it.
BufferPool::Lease DifferencePlan::read_committed(std::size_t chunk, ChunkFinder& finder) {
  const CommittedChunk& before = *regions_.committed(chunk);
  auto bytes = buffers_.take();
  bytes->resize(before.reference.raw_size);
  try {
    finder.read_unchanged(before.reference, *bytes);
    const auto difference = buffers_.take();
    difference->resize(bytes->size());
    for (const CommittedDifference& each : before.differences) {
      finder.read_unchanged(each.reference, *difference);
      format::apply_difference(each.kind, *difference, *bytes);
    }
  } catch (const Error&) {
    return nullptr;
  }
  return bytes;
}

std::optional<format::DifferenceKind> DifferencePlan::judge(
    std::size_t chunk, std::span<const std::byte> before) const {
  const auto gain =
      format::best_difference(before, bytes_of(chunk), layout_.chunks[chunk].scalar_size);
  if (!gain || gain->part > largest_part_) return std::nullopt;
  return gain->kind;
}

std::span<const std::byte> DifferencePlan::bytes_of(std::size_t chunk) const {
  const PlannedChunk& planned = layout_.chunks[chunk];
  return {layout_.parts_of(planned).front().data, planned.raw_size};  // it is in a region: one part
}

std::optional<DifferencePlan::Made> DifferencePlan::make(std::size_t chunk, ChunkFinder& finder) {
  if (chunk >= wanted_.size() || !wanted_[chunk]) return std::nullopt;
  auto bytes = read_committed(chunk, finder);
  if (bytes == nullptr) return std::nullopt;
  const auto kind = judge(chunk, *bytes);
  trials_[chunk] = kind ? DifferenceTrial::pays : DifferenceTrial::fails;
  if (!kind) return std::nullopt;
  format::take_difference(*kind, *bytes, bytes_of(chunk), *bytes);
  return Made{*kind, std::move(bytes)};
}

void DifferencePlan::remember(std::size_t chunk, std::span<const CommittedDifference> now,
                              CommittedChunk& out) const {
  out.differences.assign(now.begin(), now.end());
  if (trials_.empty()) return;
  out.trial = trials_[chunk];
  const CommittedChunk* const before = regions_.committed(chunk);
  if (before == nullptr) return;
  const bool reached = before->differences.size() >= limit_of(*before, compared_.places[chunk]);
  out.rounds = static_cast<std::uint8_t>(std::min(2, before->rounds + (reached ? 1 : 0)));
}

}  // namespace ckp
