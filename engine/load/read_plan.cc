#include "load/read_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "ckp/error.h"
#include "ckp/format/difference.h"
#include "ckp/format/rounding.h"
#include "save/buffer_pool.h"
#include "save/parallel.h"
#include "save/strided_view.h"

namespace ckp {

void ReadPlan::add_tensor(const format::TensorEntry& tensor,
                          std::span<const std::int64_t> to_strides, std::byte* data) {
  const std::size_t element = size_of(tensor.dtype);
  add(tensor.storage, {StridedCopy(element, tensor.shape, tensor.strides, to_strides), data,
                       static_cast<std::uint64_t>(tensor.storage_offset) * element});
}

void ReadPlan::add_storage(std::uint32_t storage, std::byte* data) {
  add_range(storage, 0, manifest_.storages[storage].size, data);
}

void ReadPlan::add_range(std::uint32_t storage, std::uint64_t begin, std::uint64_t length,
                         std::byte* data) {
  const auto size = static_cast<std::int64_t>(length);
  const std::int64_t one = 1;
  add(storage, {StridedCopy(1, {&size, 1}, {&one, 1}, {&one, 1}), data, begin});
}

void ReadPlan::add(std::uint32_t storage, Destination destination) {
  if (destination.copy.size() == 0) return;
  const std::uint64_t begin = destination.begin;
  const std::uint64_t end = begin + destination.copy.size();
  const auto& ends = piece_ends(storage);
  const auto& pieces = manifest_.storages[storage].pieces;
  const auto first = std::upper_bound(ends.begin(), ends.end(), begin);
  for (auto i = static_cast<std::size_t>(first - ends.begin()); i < pieces.size(); ++i) {
    const std::uint64_t piece_begin = ends[i] - pieces[i].length;
    if (piece_begin >= end) break;
    const std::uint64_t from = std::max(begin, piece_begin);
    const std::uint64_t to = std::min(end, ends[i]);
    if (pieces[i].reference == format::no_reference) {
      const auto all = manifest_.derived_of(storage);
      const auto one = std::ranges::lower_bound(all, static_cast<std::uint32_t>(i), {},
                                                &format::DerivedPiece::piece);
      // Whole elements of two bytes.
      derived_.insert({storage, one->source, one->rounding, from & ~std::uint64_t{1}, to + to % 2});
      continue;
    }
    if (!manifest_.differences_of(storage, static_cast<std::uint32_t>(i)).empty()) {
      differing_.insert({storage, static_cast<std::uint32_t>(i), piece_begin});
      continue;
    }
    transfers_.push_back(
        {pieces[i].reference, pieces[i].offset + static_cast<std::uint32_t>(from - piece_begin),
         static_cast<std::uint32_t>(to - from), destinations_.size(), from - begin});
  }
  destinations_in_[storage].push_back(destinations_.size());
  destinations_.push_back(std::move(destination));
}

const std::vector<std::uint64_t>& ReadPlan::piece_ends(std::uint32_t storage) {
  const auto [at, is_new] = piece_ends_.try_emplace(storage);
  if (is_new) {
    std::uint64_t end = 0;
    for (const format::StoragePiece& piece : manifest_.storages[storage].pieces) {
      at->second.push_back(end += piece.length);
    }
  }
  return at->second;
}

void ReadPlan::run(const ReadChunk& read, unsigned threads) {
  run_transfers(read, threads);
  put_together(read, threads);
  apply_patches(read, threads, false);
  if (derived_.empty()) return;
  derive(read, threads);
  apply_patches(read, threads, true);
}

void ReadPlan::run_transfers(const ReadChunk& read, unsigned threads) {
  // In the order of the file, which is kind to disks.
  const auto key = [&](const Transfer& transfer) {
    return std::tuple(manifest_.references[transfer.reference].address, transfer.reference,
                      transfer.destination, transfer.begin);
  };
  std::sort(transfers_.begin(), transfers_.end(),
            [&](const Transfer& a, const Transfer& b) { return key(a) < key(b); });
  std::vector<std::span<const Transfer>> chunks;
  for (std::size_t i = 0; i < transfers_.size();) {
    std::size_t end = i;
    while (end < transfers_.size() && transfers_[end].reference == transfers_[i].reference) ++end;
    chunks.push_back(std::span(transfers_).subspan(i, end - i));
    i = end;
  }
  std::uint64_t bytes = 0;
  for (const auto& chunk : chunks) bytes += manifest_.references[chunk.front().reference].raw_size;
  BufferPool buffers;
  parallel_for(chunks.size(), thread_count(threads, bytes), [&](std::size_t i) {
    const format::ChunkReference& reference = manifest_.references[chunks[i].front().reference];
    if (const Transfer* direct = find_direct(chunks[i])) {
      std::byte* const to = destinations_[direct->destination].data + direct->begin;
      read(reference, {to, reference.raw_size});
      distribute(chunks[i], direct, {to, reference.raw_size});
    } else {
      const auto scratch = buffers.take();
      scratch->resize(reference.raw_size);
      read(reference, *scratch);
      distribute(chunks[i], nullptr, *scratch);
    }
  });
}

void ReadPlan::put_together(const ReadChunk& read, unsigned threads) {
  const std::vector<DifferingPiece> pieces(differing_.begin(), differing_.end());
  std::uint64_t size = 0;
  for (const auto& [storage, number, begin] : pieces) {
    size += manifest_.storages[storage].pieces[number].length;
  }
  BufferPool buffers;
  parallel_for(pieces.size(), thread_count(threads, size), [&](std::size_t i) {
    const auto& [storage, number, begin] = pieces[i];
    const format::StoragePiece& piece = manifest_.storages[storage].pieces[number];
    const format::ChunkReference& base = manifest_.references[piece.reference];
    const Destination* const direct = find_direct(pieces[i]);
    const auto chunk = buffers.take();
    if (direct == nullptr) chunk->resize(base.raw_size);
    const std::span<std::byte> whole =
        direct == nullptr ? std::span(*chunk)
                          : std::span(direct->data + (begin - direct->begin), base.raw_size);
    read(base, whole);
    const auto bytes = whole.subspan(piece.offset, piece.length);
    const auto difference = buffers.take();
    for (const format::Difference& each : manifest_.differences_of(storage, number)) {
      const format::ChunkReference& reference = manifest_.references[each.reference];
      difference->resize(reference.raw_size);
      read(reference, *difference);
      format::apply_difference(each.kind, *difference, bytes);
    }
    deliver(storage, begin, bytes, direct);
  });
}

// To whoever wants them but `done`, which has them: bytes that begin at `begin` of a storage.
void ReadPlan::deliver(std::uint32_t storage, std::uint64_t begin, std::span<const std::byte> bytes,
                       const Destination* done) const {
  for (const std::size_t wanted : destinations_in_.at(storage)) {
    const Destination& to = destinations_[wanted];
    if (&to == done) continue;
    const std::uint64_t first = std::max(begin, to.begin);
    const std::uint64_t last = std::min(begin + bytes.size(), to.begin + to.copy.size());
    if (first >= last) continue;
    to.copy.copy(first - to.begin, bytes.subspan(first - begin, last - first), to.data);
  }
}

// What two destinations want of one piece is made once; of a source with patches, each of which is
// read for every range that it touches, what follows each other is one range.
std::vector<ReadPlan::DerivedRange> ReadPlan::derived_ranges() const {
  constexpr std::uint64_t most = std::uint64_t{8} << 20;
  std::vector<DerivedRange> ranges;
  for (const DerivedRange& next : derived_) {
    if (!ranges.empty()) {
      DerivedRange& last = ranges.back();
      const bool is_same_kind = last.storage == next.storage && last.source == next.source &&
                                last.rounding == next.rounding;
      const bool overlaps = next.begin < last.end;
      const bool follows = next.begin == last.end && !manifest_.patches_of(next.source).empty() &&
                           next.end - last.begin <= most;
      if (is_same_kind && (overlaps || follows)) {
        last.end = std::max(last.end, next.end);
        continue;
      }
    }
    ranges.push_back(next);
  }
  return ranges;
}

// Where the bytes that a range is made of lie already, as they stand in their storage; or null.
const std::byte* ReadPlan::find_source(const DerivedRange& range) const {
  const auto in_source = destinations_in_.find(range.source);
  if (in_source == destinations_in_.end()) return nullptr;
  for (const std::size_t i : in_source->second) {
    const Destination& to = destinations_[i];
    const bool holds = to.copy.is_linear() && to.begin <= 2 * range.begin &&
                       2 * range.end <= to.begin + to.copy.size();
    if (holds) return to.data + (2 * range.begin - to.begin);
  }
  return nullptr;
}

void ReadPlan::derive(const ReadChunk& read, unsigned threads) {
  const std::vector<DerivedRange> ranges = derived_ranges();
  BufferPool buffers;
  parallel_for(ranges.size(), thread_count(threads), [&](std::size_t i) {
    const DerivedRange& range = ranges[i];
    const std::uint64_t size = range.end - range.begin;
    const std::byte* source = find_source(range);
    const auto scratch = buffers.take();
    if (source == nullptr) {
      scratch->resize(2 * size);
      ReadPlan plan(manifest_);
      plan.add_range(range.source, 2 * range.begin, 2 * size, scratch->data());
      plan.run(read, 1);
      source = scratch->data();
    }
    const auto rounded = buffers.take();
    rounded->resize(size);
    format::round_floats(range.rounding, {source, 2 * size}, *rounded);
    deliver(range.storage, range.begin, *rounded);
  });
}

bool ReadPlan::is_wanted(const format::Patch& patch) const {
  const auto in_storage = destinations_in_.find(patch.storage);
  if (in_storage == destinations_in_.end()) return false;
  return std::ranges::any_of(in_storage->second, [&](std::size_t i) {
    const Destination& to = destinations_[i];
    return format::overlaps(patch, to.begin, to.copy.size());
  });
}

// Of storages that have derived pieces, or of the others.
void ReadPlan::apply_patches(const ReadChunk& read, unsigned threads, bool to_derived) {
  std::vector<const format::Patch*> wanted;
  for (const format::Patch& patch : manifest_.patches) {
    const bool is_derived = !manifest_.derived_of(patch.storage).empty();
    if (is_derived == to_derived && is_wanted(patch)) wanted.push_back(&patch);
  }
  std::ranges::stable_sort(wanted, {}, [](const format::Patch* patch) {
    return std::pair(patch->storage, patch->begin);
  });
  std::vector<PatchGroup> groups;
  std::uint64_t end = 0;  // of the last group
  for (const format::Patch* patch : wanted) {
    const bool apart =
        groups.empty() || groups.back().front()->storage != patch->storage || patch->begin >= end;
    if (apart) groups.emplace_back();
    end = std::max(apart ? 0 : end, patch->begin + patch->length);
    groups.back().push_back(patch);
  }
  BufferPool buffers;
  parallel_for(groups.size(), thread_count(threads), [&](std::size_t i) {
    std::ranges::sort(groups[i]);  // as they stand in the manifest
    const auto raw = buffers.take();
    for (const format::Patch* patch : groups[i]) {
      const format::ChunkReference& reference = manifest_.references[patch->reference];
      raw->resize(reference.raw_size);
      read(reference, *raw);
      apply(*patch, *raw);
    }
  });
}

format::PatchRows ReadPlan::decode(const format::Patch& patch,
                                   std::span<const std::byte> raw) const {
  try {
    return format::decode_patch(raw, patch.length);
  } catch (const Error& error) {
    const format::ChunkAddress& at = manifest_.references[patch.reference].address;
    const std::string pack = at.pack.is_nil() ? "the checkpoint's own pack" : at.pack.hex();
    throw Error(error.code(), fmt::format("chunk {} of {}: {}", at.number, pack, error.what()));
  }
}

void ReadPlan::apply(const format::Patch& patch, std::span<const std::byte> raw) const {
  const format::PatchRows rows = decode(patch, raw);
  for (const std::size_t i : destinations_in_.at(patch.storage)) {
    const Destination& to = destinations_[i];
    format::each_row(rows, [&](std::uint64_t at, std::span<const std::byte> bytes) {
      const std::uint64_t row = patch.begin + at;
      const std::uint64_t first = std::max(row, to.begin);
      const std::uint64_t last = std::min(row + bytes.size(), to.begin + to.copy.size());
      if (first >= last) return;
      to.copy.copy(first - to.begin, bytes.subspan(first - row, last - first), to.data);
    });
  }
}

// A place that takes the whole chunk as it is: decoding goes straight there.
const ReadPlan::Transfer* ReadPlan::find_direct(std::span<const Transfer> transfers) const {
  for (const Transfer& transfer : transfers) {
    const bool whole = transfer.length == manifest_.references[transfer.reference].raw_size;
    if (whole && destinations_[transfer.destination].copy.is_linear()) return &transfer;
  }
  return nullptr;
}

const ReadPlan::Destination* ReadPlan::find_direct(const DifferingPiece& differing) const {
  const auto& [storage, number, begin] = differing;
  const format::StoragePiece& piece = manifest_.storages[storage].pieces[number];
  if (piece.length != manifest_.references[piece.reference].raw_size) return nullptr;
  for (const std::size_t i : destinations_in_.at(storage)) {
    const Destination& to = destinations_[i];
    const bool holds_it = to.begin <= begin && begin + piece.length <= to.begin + to.copy.size();
    if (holds_it && to.copy.is_linear()) return &to;
  }
  return nullptr;
}

void ReadPlan::distribute(std::span<const Transfer> transfers, const Transfer* done,
                          std::span<const std::byte> raw) const {
  for (const Transfer& transfer : transfers) {
    if (&transfer == done) continue;
    const Destination& destination = destinations_[transfer.destination];
    destination.copy.copy(transfer.begin, raw.subspan(transfer.offset, transfer.length),
                          destination.data);
  }
}

namespace {

// Whether bytes [begin, end) of a storage need the chunk at `address`, or may when it is a patch's.
bool needs_chunk(const format::Manifest& manifest, const format::ChunkAddress& address,
                 std::uint32_t storage, std::uint64_t begin, std::uint64_t end) {
  const auto is_hit = [&](std::uint32_t reference, std::uint64_t at, std::uint64_t length) {
    return at < end && at + length > begin && manifest.references[reference].address == address;
  };
  std::uint64_t at = 0;
  const auto& pieces = manifest.storages[storage].pieces;
  std::vector<std::uint64_t> begins;
  for (std::uint32_t i = 0; i < pieces.size(); ++i) {
    begins.push_back(at);
    at += pieces[i].length;
    if (pieces[i].reference == format::no_reference) continue;
    if (is_hit(pieces[i].reference, begins[i], pieces[i].length)) return true;
  }
  for (const format::Difference& each : manifest.differences_of(storage)) {
    if (is_hit(each.reference, begins[each.piece], pieces[each.piece].length)) return true;
  }
  for (const format::Patch& patch : manifest.patches_of(storage)) {
    if (is_hit(patch.reference, patch.begin, patch.length)) return true;
  }
  return std::ranges::any_of(manifest.derived_of(storage), [&](const format::DerivedPiece& each) {
    const std::uint64_t from = std::max(begin, begins[each.piece]);
    const std::uint64_t to = std::min(end, begins[each.piece] + pieces[each.piece].length);
    return from < to && needs_chunk(manifest, address, each.source, 2 * from, 2 * to);
  });
}

}  // namespace

std::vector<std::string_view> tensors_in_chunk(const format::Manifest& manifest,
                                               const format::ChunkAddress& address) {
  std::vector<std::string_view> names;
  for (const format::TensorEntry& tensor : manifest.tensors) {
    const std::uint64_t element = size_of(tensor.dtype);
    const auto elements = static_cast<std::uint64_t>(span_elements(tensor.shape, tensor.strides));
    const std::uint64_t begin = static_cast<std::uint64_t>(tensor.storage_offset) * element;
    if (needs_chunk(manifest, address, tensor.storage, begin, begin + elements * element)) {
      names.push_back(tensor.name);
    }
  }
  return names;
}

}  // namespace ckp
