// Which chunks to read, and where their bytes go.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <span>
#include <unordered_map>
#include <vector>

#include "ckp/format/manifest.h"
#include "ckp/format/patch.h"
#include "load/strided_copy.h"

namespace ckp {

// Collects what is wanted of a manifest's tensors and storages, then reads every chunk that is
// needed once, puts pieces with differences together, patches what has patches, and rounds what is
// derived. The manifest outlives the plan.
class ReadPlan {
 public:
  // Fills `out` with the verified raw bytes of a chunk, or throws; called on several threads.
  using ReadChunk = std::function<void(const format::ChunkReference&, std::span<std::byte> out)>;

  explicit ReadPlan(const format::Manifest& manifest) : manifest_(manifest) {}

  // A tensor into memory with strides of its own, `data` being its first element.
  void add_tensor(const format::TensorEntry& tensor, std::span<const std::int64_t> to_strides,
                  std::byte* data);
  // A whole storage.
  void add_storage(std::uint32_t storage, std::byte* data);
  // Bytes [begin, begin + length) of a storage.
  void add_range(std::uint32_t storage, std::uint64_t begin, std::uint64_t length, std::byte* data);

  void run(const ReadChunk& read, unsigned threads);

 private:
  struct Destination {
    StridedCopy copy;
    std::byte* data = nullptr;
    std::uint64_t begin = 0;  // of its span, in its storage
  };
  // Bytes [offset, offset + length) of a chunk are bytes [begin, begin + length) of a
  // destination's span.
  struct Transfer {
    std::uint32_t reference = 0;
    std::uint32_t offset = 0;
    std::uint32_t length = 0;
    std::uint64_t destination = 0;
    std::uint64_t begin = 0;
  };
  // A piece that is more than a part of its chunk.
  struct DifferingPiece {
    std::uint32_t storage = 0;
    std::uint32_t piece = 0;
    std::uint64_t begin = 0;  // in the storage
    friend auto operator<=>(const DifferingPiece&, const DifferingPiece&) = default;
  };
  // Bytes of derived pieces, whole elements, that are made of one range of their source.
  struct DerivedRange {
    std::uint32_t storage = 0;
    std::uint32_t source = 0;
    format::Rounding rounding = format::Rounding::bfloat16;
    std::uint64_t begin = 0, end = 0;  // in the storage
    friend auto operator<=>(const DerivedRange&, const DerivedRange&) = default;
  };
  // Patches that overlap each other, in order.
  using PatchGroup = std::vector<const format::Patch*>;
  void add(std::uint32_t storage, Destination destination);
  const std::vector<std::uint64_t>& piece_ends(std::uint32_t storage);
  void run_transfers(const ReadChunk& read, unsigned threads);
  void put_together(const ReadChunk& read, unsigned threads);
  void derive(const ReadChunk& read, unsigned threads);
  std::vector<DerivedRange> derived_ranges() const;
  const std::byte* find_source(const DerivedRange& range) const;
  void apply_patches(const ReadChunk& read, unsigned threads, bool to_derived);
  void deliver(std::uint32_t storage, std::uint64_t begin, std::span<const std::byte> bytes,
               const Destination* done = nullptr) const;
  bool is_wanted(const format::Patch& patch) const;
  format::PatchRows decode(const format::Patch& patch, std::span<const std::byte> raw) const;
  void apply(const format::Patch& patch, std::span<const std::byte> raw) const;
  const Transfer* find_direct(std::span<const Transfer> transfers) const;
  const Destination* find_direct(const DifferingPiece& differing) const;
  void distribute(std::span<const Transfer> transfers, const Transfer* done,
                  std::span<const std::byte> raw) const;

  const format::Manifest& manifest_;
  std::vector<Destination> destinations_;
  std::vector<Transfer> transfers_;
  std::set<DifferingPiece> differing_;
  std::set<DerivedRange> derived_;
  std::unordered_map<std::uint32_t, std::vector<std::uint64_t>> piece_ends_;  // by storage
  std::map<std::uint32_t, std::vector<std::size_t>> destinations_in_;         // by storage
};

// Names of the tensors that have bytes in the chunk at `address` (nil pack: the manifest's own), or
// may have when it is a patch's, or are made of such bytes, in order.
std::vector<std::string_view> tensors_in_chunk(const format::Manifest& manifest,
                                               const format::ChunkAddress& address);

}  // namespace ckp
