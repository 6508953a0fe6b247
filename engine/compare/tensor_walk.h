// Visiting the elements of stored tensors, chunk by chunk.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "ckp/format/manifest.h"
#include "compare/chunk_cache.h"

namespace ckp {

// The bytes behind one tensor.
class TensorBytes {
 public:
  TensorBytes(const format::Manifest& manifest, const format::TensorEntry& tensor,
              ChunkCache& chunks);

  // Where an element's bytes begin, and how many bytes of the storage follow in the same piece.
  struct Place {
    std::uint32_t reference = 0;
    std::uint64_t offset = 0;  // in the chunk
    std::uint64_t rest = 0;
    bool patched = false;  // what the chunk holds is not all
    Digest content{};      // equal: so are the bytes at equal offsets
  };
  // `element` counts from the tensor's first one.
  Place find(std::uint64_t element);
  // `count` elements; more than one lie in one piece. Valid until the next call.
  const std::byte* read(std::uint64_t element, std::uint64_t count);

  const format::TensorEntry& tensor() const { return tensor_; }

 private:
  // What find_byte() then says of that piece.
  void look_at_piece(std::size_t piece);
  Place find_byte(std::uint64_t at);
  const std::byte* bytes_at(const Place& place);

  const format::Manifest& manifest_;
  const format::TensorEntry& tensor_;
  ChunkCache& chunks_;
  std::uint64_t element_size_;
  std::vector<std::uint64_t> ends_;  // of the storage's pieces
  std::size_t last_ = 0;             // the piece that was found last
  bool patched_ = false;             // it
  Digest content_;                   // its
  std::array<std::byte, 16> cut_;    // an element that lies in several pieces
};

// The elements of two tensors of one shape, in the order in which the first one's lie in memory.
// Dimensions in which both stand still (an expanded tensor) are visited once.
class TensorWalk {
 public:
  TensorWalk(const format::TensorEntry& a, const format::TensorEntry& b);

  // `count` elements that lie side by side in both, from element `a` of one and `b` of the other.
  // `position` is their number in the order of the walk.
  struct Row {
    std::uint64_t a = 0, b = 0;
    std::uint64_t position = 0;
    std::uint64_t count = 0;
  };
  void visit(const std::function<void(const Row&)>& row) const;

  // Elements of the shape, and how often each visited one stands for one of them.
  std::uint64_t elements() const { return elements_; }
  std::uint64_t repeats() const { return repeats_; }
  // The row-major number of the element at a position.
  std::uint64_t number_at(std::uint64_t position) const;

 private:
  struct Dimension {
    std::uint64_t count = 0;
    std::uint64_t a = 0, b = 0;   // strides
    std::uint64_t row_major = 0;  // stride
  };
  void visit_dimension(std::size_t d, Row& at, const std::function<void(const Row&)>& row) const;

  std::uint64_t elements_ = 1;
  std::uint64_t repeats_ = 1;
  std::vector<Dimension> dimensions_;  // outermost first
  std::vector<Dimension> joined_;
};

// Calls `block` with each stretch of a row that lies in one chunk of either tensor.
void walk_blocks(const TensorWalk& walk, TensorBytes& a, TensorBytes& b,
                 const std::function<void(const TensorWalk::Row&)>& block);

}  // namespace ckp
