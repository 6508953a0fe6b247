// What a run's last committed checkpoint holds, by place in the state: a save that finds the same
// bytes there again neither copies nor stores them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "ckp/digest.h"
#include "ckp/load.h"
#include "save/chunk_layout.h"
#include "save/patched_region.h"

namespace ckp {

// Tells a chunk's bytes from others without keeping them. With a seed of this process, so that
// nobody can prepare bytes that look like others.
struct Fingerprint {
  Digest head;   // of the first 4096 bytes: dense training changes them, and that is seen at once
  Digest whole;  // decides
  friend bool operator==(const Fingerprint&, const Fingerprint&) = default;
};

class Fingerprinter {
 public:
  Fingerprinter();  // draws the seed
  RowHashes rows(std::span<const std::byte> chunk) const;
  Fingerprint operator()(std::span<const std::byte> chunk) const {
    return {head(chunk), whole(chunk)};
  }
  bool matches(std::span<const std::byte> chunk, const Fingerprint& fingerprint) const {
    return head(chunk) == fingerprint.head && whole(chunk) == fingerprint.whole;
  }

 private:
  Digest head(std::span<const std::byte> chunk) const;
  Digest whole(std::span<const std::byte> chunk) const;

  std::uint64_t seed_;
};

// Of a whole chunk, to what it was before.
struct CommittedDifference {
  format::ChunkReference reference;
  format::DifferenceKind kind = format::DifferenceKind::exclusive_or;
};

// Of a chunk that is stored nowhere, being the rounding of others.
struct CommittedDerivation {
  Digest source;  // place of the first chunk of the storage that it is the rounding of
  format::Rounding rounding = format::Rounding::bfloat16;
};

// Whether it pays to store a chunk's changes as differences, as far as it was tried.
enum class DifferenceTrial : std::uint8_t { unknown, pays, fails };

struct CommittedChunk {
  Fingerprint fingerprint;
  format::ChunkReference reference;  // with its pack's uuid
  bool nonfinite = false;            // a tensor that asks for the check has a NaN or infinity in it
  std::shared_ptr<const RowHashes> rows;         // null: not known
  bool dense = false;                            // most of the rows had changed
  std::shared_ptr<RegionPatches> patched;        // null: there are none
  std::vector<CommittedDifference> differences;  // in order; with them there are no patches
  DifferenceTrial trial = DifferenceTrial::unknown;
  std::optional<CommittedDerivation> derived;  // set: `reference` means nothing
  std::uint8_t rounds = 0;  // how often it was stored whole for having enough differences; 2: more
};

struct CommittedState {
  struct PlaceHash {
    std::size_t operator()(const Digest& place) const { return place.low; }
  };
  using Chunks = std::unordered_map<Digest, CommittedChunk, PlaceHash>;

  // Open: what it refers to can be read even when it has been pruned meanwhile.
  std::shared_ptr<const Checkpoint::Parts> checkpoint;
  Chunks chunks;  // empty: nothing is known, as after a resume
};

// Where each chunk of the layout belongs: the names and views of the tensors in it, and its part of
// their storages. What is the same from save to save has the same place.
std::vector<Digest> chunk_places(const ChunkLayout& layout);

// By chunk of a layout: what was committed at its place, if those are its bytes now; else null.
// Points into the CommittedState.
using UnchangedChunks = std::vector<const CommittedChunk*>;

// Compares the memory of `layout` with `committed`, on `threads` threads; null: with nothing.
// Chunks of tensors that can only be looked through as a whole (FiniteCheck) count as changed.
UnchangedChunks find_unchanged(const ChunkLayout& layout, std::span<const Digest> places,
                               const CommittedState::Chunks* committed,
                               const Fingerprinter& fingerprinter, unsigned threads);

}  // namespace ckp
