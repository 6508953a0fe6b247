#include "compare/tensor_walk.h"

#include <algorithm>
#include <cstring>

#include "ckp/digest.h"
#include "ckp/format/patch.h"
#include "ckp/format/wire.h"

namespace ckp {
namespace {

// What makes a piece's bytes, as a digest: where it is equal, so are the bytes at equal offsets.
struct PieceContent {
  Digest digest;
  bool is_chunk = true;  // and nothing else
};

PieceContent content_of(const format::Manifest& manifest, std::uint32_t storage,
                        std::uint32_t number, std::uint64_t begin);

// Of what a derived piece is made of.
void describe_source(const format::Manifest& manifest, const format::DerivedPiece& derived,
                     std::uint64_t begin, std::uint64_t end, format::Writer& facts) {
  facts.u8(static_cast<std::uint8_t>(derived.rounding));
  facts.u64(end - begin);
  std::uint64_t at = 0;
  const auto& pieces = manifest.storages[derived.source].pieces;
  for (std::uint32_t i = 0; i < pieces.size() && at < end; ++i) {
    if (at + pieces[i].length > begin) {
      facts.digest(content_of(manifest, derived.source, i, at).digest);
      facts.u32(pieces[i].offset);
      facts.u64(at - begin);  // may wrap around
    }
    at += pieces[i].length;
  }
}

PieceContent content_of(const format::Manifest& manifest, std::uint32_t storage,
                        std::uint32_t number, std::uint64_t begin) {
  const format::StoragePiece& piece = manifest.storages[storage].pieces[number];
  PieceContent content;
  format::Writer facts;
  if (piece.reference == format::no_reference) {
    content.is_chunk = false;
    const format::DerivedPiece& derived = *std::ranges::lower_bound(
        manifest.derived_of(storage), number, {}, &format::DerivedPiece::piece);
    describe_source(manifest, derived, 2 * begin, 2 * (begin + piece.length), facts);
  } else {
    content.digest = manifest.references[piece.reference].raw_digest;
    facts.digest(content.digest);
  }
  for (const format::Difference& each : manifest.differences_of(storage, number)) {
    content.is_chunk = false;
    facts.digest(manifest.references[each.reference].raw_digest);
    facts.u8(static_cast<std::uint8_t>(each.kind));
    facts.u32(piece.offset);  // what it changes of the chunk
    facts.u32(piece.length);
  }
  for (const format::Patch& patch : manifest.patches_of(storage)) {
    if (!format::overlaps(patch, begin, piece.length)) continue;
    content.is_chunk = false;
    facts.digest(manifest.references[patch.reference].raw_digest);
    facts.u64(patch.begin - (begin - piece.offset));  // as seen from the chunk; may wrap around
    facts.u64(patch.length);
  }
  if (!content.is_chunk) content.digest = digest_of(facts.buffer());
  return content;
}

}  // namespace

TensorBytes::TensorBytes(const format::Manifest& manifest, const format::TensorEntry& tensor,
                         ChunkCache& chunks)
    : manifest_(manifest), tensor_(tensor), chunks_(chunks), element_size_(size_of(tensor.dtype)) {
  std::uint64_t end = 0;
  for (const format::StoragePiece& piece : manifest.storages[tensor.storage].pieces) {
    ends_.push_back(end += piece.length);
  }
  if (!ends_.empty()) look_at_piece(0);
}

void TensorBytes::look_at_piece(std::size_t number) {
  const format::StoragePiece& piece = manifest_.storages[tensor_.storage].pieces[number];
  const PieceContent found = content_of(
      manifest_, tensor_.storage, static_cast<std::uint32_t>(number), ends_[number] - piece.length);
  last_ = number;
  patched_ = !found.is_chunk;
  content_ = found.digest;
}

TensorBytes::Place TensorBytes::find_byte(std::uint64_t at) {
  const auto& pieces = manifest_.storages[tensor_.storage].pieces;
  const auto begins = [&](std::size_t i) { return ends_[i] - pieces[i].length; };
  if (at < begins(last_) || at >= ends_[last_]) {
    const auto found = std::upper_bound(ends_.begin(), ends_.end(), at);
    look_at_piece(static_cast<std::size_t>(found - ends_.begin()));
  }
  const format::StoragePiece& piece = pieces[last_];
  return {piece.reference, piece.offset + (at - begins(last_)), ends_[last_] - at, patched_,
          content_};
}

// Of the piece that was found last.
const std::byte* TensorBytes::bytes_at(const Place& place) {
  if (!place.patched) return chunks_.get(place.reference).data() + place.offset;
  const format::StoragePiece& piece = manifest_.storages[tensor_.storage].pieces[last_];
  const std::uint64_t begin = ends_[last_] - piece.length;
  return chunks_.get_patched(tensor_.storage, last_, begin).data() + (place.offset - piece.offset);
}

TensorBytes::Place TensorBytes::find(std::uint64_t element) {
  return find_byte((static_cast<std::uint64_t>(tensor_.storage_offset) + element) * element_size_);
}

const std::byte* TensorBytes::read(std::uint64_t element, std::uint64_t count) {
  const Place place = find(element);
  if (place.rest >= count * element_size_) return bytes_at(place);
  const std::uint64_t begin =
      (static_cast<std::uint64_t>(tensor_.storage_offset) + element) * element_size_;
  for (std::uint64_t done = 0; done < element_size_;) {
    const Place part = find_byte(begin + done);
    const std::uint64_t size = std::min(part.rest, element_size_ - done);
    std::memcpy(cut_.data() + done, bytes_at(part), size);
    done += size;
  }
  return cut_.data();
}

TensorWalk::TensorWalk(const format::TensorEntry& a, const format::TensorEntry& b) {
  for (std::size_t d = a.shape.size(); d-- > 0;) {
    const Dimension dimension{static_cast<std::uint64_t>(a.shape[d]),
                              static_cast<std::uint64_t>(a.strides[d]),
                              static_cast<std::uint64_t>(b.strides[d]), elements_};
    elements_ *= dimension.count;
    if (dimension.count == 1) continue;
    if (dimension.a == 0 && dimension.b == 0) {
      repeats_ *= dimension.count;
    } else {
      dimensions_.insert(dimensions_.begin(), dimension);
    }
  }
  std::stable_sort(dimensions_.begin(), dimensions_.end(),
                   [](const Dimension& one, const Dimension& other) { return one.a > other.a; });
  for (const Dimension& inner : dimensions_) {
    if (!joined_.empty()) {
      Dimension& outer = joined_.back();
      if (outer.a == inner.count * inner.a && outer.b == inner.count * inner.b) {
        outer = {outer.count * inner.count, inner.a, inner.b, 0};
        continue;
      }
    }
    joined_.push_back(inner);
  }
}

void TensorWalk::visit(const std::function<void(const Row&)>& row) const {
  if (elements_ == 0) return;
  Row at;
  visit_dimension(0, at, row);
}

void TensorWalk::visit_dimension(std::size_t d, Row& at,
                                 const std::function<void(const Row&)>& row) const {
  if (d == joined_.size()) {
    at.count = 1;
    row(at);
    ++at.position;
    return;
  }
  const Dimension& dimension = joined_[d];
  if (d + 1 == joined_.size() && dimension.a == 1 && dimension.b == 1) {
    at.count = dimension.count;
    row(at);
    at.position += dimension.count;
    return;
  }
  const std::uint64_t a = at.a;
  const std::uint64_t b = at.b;
  for (std::uint64_t i = 0; i < dimension.count; ++i) {
    at.a = a + i * dimension.a;
    at.b = b + i * dimension.b;
    visit_dimension(d + 1, at, row);
  }
  at.a = a;
  at.b = b;
}

std::uint64_t TensorWalk::number_at(std::uint64_t position) const {
  std::uint64_t number = 0;
  for (std::size_t d = dimensions_.size(); d-- > 0;) {
    number += position % dimensions_[d].count * dimensions_[d].row_major;
    position /= dimensions_[d].count;
  }
  return number;
}

void walk_blocks(const TensorWalk& walk, TensorBytes& a, TensorBytes& b,
                 const std::function<void(const TensorWalk::Row&)>& block) {
  const std::uint64_t element = size_of(a.tensor().dtype);
  walk.visit([&](TensorWalk::Row row) {
    while (row.count != 0) {
      const std::uint64_t together = std::min(a.find(row.a).rest, b.find(row.b).rest) / element;
      TensorWalk::Row part = row;
      part.count = std::clamp<std::uint64_t>(together, 1, row.count);
      block(part);
      row.a += part.count;
      row.b += part.count;
      row.position += part.count;
      row.count -= part.count;
    }
  });
}

}  // namespace ckp
