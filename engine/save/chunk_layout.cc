#include "save/chunk_layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <functional>

#include "ckp/error.h"
#include "ckp/format/limits.h"
#include "ckp/format/wire.h"
#include "save/strided_view.h"

namespace ckp {
namespace {

// The bytes of a storage that one tensor touches.
struct Touched {
  const void* storage = nullptr;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::size_t tensor = 0;  // in name order
};

Touched touched_by(const TensorView& view, std::size_t tensor) {
  const std::uint64_t element = size_of(view.dtype);
  const std::uint64_t begin = static_cast<std::uint64_t>(view.storage_offset) * element;
  const auto elements = static_cast<std::uint64_t>(span_elements(view.shape, view.strides));
  return {view.storage, begin, begin + elements * element, tensor};
}

// Stored spans of one StateDict storage, as one tensor needs them: which, and where it starts.
struct Place {
  std::uint64_t span_begin = 0;  // bytes from the start of the StateDict storage
  std::size_t span = 0;          // before the spans are put into name order
};

struct Spans {
  std::vector<StorageSpan> spans;
  std::vector<Place> places;  // by tensor
};

// Joins the touched bytes of the views of one storage. `views` is sorted by begin. A span starts
// at a multiple of the largest element, so that every view's offset in it is a whole number of its
// own elements, whatever dtypes look at the same bytes.
void join_views(std::span<const Touched> views, std::span<const TensorView* const> tensors,
                Spans& out) {
  std::uint64_t element = 1;
  for (const Touched& view : views) {
    element = std::max<std::uint64_t>(element, size_of(tensors[view.tensor]->dtype));
  }
  std::uint64_t end = 0;
  std::size_t first_tensor = 0;
  Place place;
  for (const Touched& view : views) {
    const std::uint64_t begin = view.begin / element * element;
    if (end == 0 || begin > end) {
      place = {begin, out.spans.size()};
      out.spans.push_back({static_cast<const std::byte*>(view.storage) + begin, 0, 1});
      first_tensor = view.tensor;
      end = begin;
    }
    end = std::max(end, view.end);
    StorageSpan& span = out.spans.back();
    span.size = end - place.span_begin;
    first_tensor = std::min(first_tensor, view.tensor);
    span.scalar_size = static_cast<std::uint8_t>(scalar_size_of(tensors[first_tensor]->dtype));
    out.places[view.tensor] = place;
  }
}

Spans find_spans(std::span<const TensorView* const> tensors) {
  std::vector<Touched> touched;
  Spans out;
  out.places.resize(tensors.size());
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    if (!is_empty(tensors[i]->shape)) {
      touched.push_back(touched_by(*tensors[i], i));
      continue;
    }
    // Each empty tensor has an empty storage of its own: growing one later must not tie it to
    // another.
    const auto scalar_size = static_cast<std::uint8_t>(scalar_size_of(tensors[i]->dtype));
    out.places[i] = {0, out.spans.size()};
    out.spans.push_back({nullptr, 0, scalar_size});
  }
  std::sort(touched.begin(), touched.end(), [](const Touched& a, const Touched& b) {
    if (a.storage != b.storage) return std::less<>{}(a.storage, b.storage);
    return a.begin != b.begin ? a.begin < b.begin : a.tensor < b.tensor;
  });
  for (std::size_t i = 0; i < touched.size();) {
    std::size_t end = i;
    while (end < touched.size() && touched[end].storage == touched[i].storage) ++end;
    join_views(std::span(touched).subspan(i, end - i), tensors, out);
    i = end;
  }
  return out;
}

format::TensorEntry make_entry(const std::string& name, const TensorView& view, std::size_t storage,
                               std::uint64_t span_begin) {
  format::TensorEntry entry;
  entry.name = name;
  entry.dtype = view.dtype;
  entry.flags = view.flags;
  entry.storage = static_cast<std::uint32_t>(storage);
  if (!is_empty(view.shape)) {
    entry.storage_offset =
        view.storage_offset - static_cast<std::int64_t>(span_begin / size_of(view.dtype));
  }
  entry.shape = view.shape;
  entry.strides = view.strides;
  entry.global_shape = view.global_shape;
  entry.global_offset = view.global_offset;
  return entry;
}

// Numbers the spans by their first tensor, so that the layout does not depend on addresses, and
// describes the tensors.
void describe_tensors(const StateDict& state, const Spans& found, ChunkLayout& layout) {
  constexpr std::size_t none = SIZE_MAX;
  std::vector<std::size_t> numbers(found.spans.size(), none);
  std::size_t i = 0;
  layout.tensors.reserve(state.tensors().size());
  for (const auto& [name, view] : state.tensors()) {
    const Place& place = found.places[i++];
    if (numbers[place.span] == none) {
      numbers[place.span] = layout.spans.size();
      layout.spans.push_back(found.spans[place.span]);
    }
    layout.tensors.push_back(make_entry(name, view, numbers[place.span], place.span_begin));
    layout.check_finite.push_back(view.check_finite ? 1 : 0);
  }
}

// Puts storages into chunks.
class Cutter {
 public:
  Cutter(ChunkLayout& layout, std::uint32_t chunk_size) : layout_(layout), chunk_size_(chunk_size) {
    layout_.storages.resize(layout_.spans.size());
  }

  void run() {
    for (std::size_t i = 0; i < layout_.spans.size(); ++i) {
      layout_.storages[i].size = layout_.spans[i].size;
      if (!is_small(layout_.spans[i])) cut(i);
    }
    // Small storages of one scalar size share chunks: `planes` splits a chunk by one size.
    for (const int scalar_size : {1, 2, 4, 8}) gather(scalar_size);
  }

 private:
  bool is_small(const StorageSpan& span) const {
    return span.size < format::limits::small_storage_size && span.size <= chunk_size_;
  }

  void cut(std::size_t storage) {
    const StorageSpan& span = layout_.spans[storage];
    layout_.storages[storage].pieces.reserve((span.size + chunk_size_ - 1) / chunk_size_);
    for (std::uint64_t at = 0; at < span.size; at += chunk_size_) {
      begin_chunk(span.scalar_size);
      append(storage, at,
             static_cast<std::uint32_t>(std::min<std::uint64_t>(chunk_size_, span.size - at)));
    }
  }

  void gather(int scalar_size) {
    bool open = false;
    for (std::size_t i = 0; i < layout_.spans.size(); ++i) {
      const StorageSpan& span = layout_.spans[i];
      if (span.size == 0 || span.scalar_size != scalar_size || !is_small(span)) continue;
      const std::uint64_t used = open ? format::align_up(layout_.chunks.back().raw_size, 8) : 0;
      if (!open || used + span.size > chunk_size_) begin_chunk(span.scalar_size);
      open = true;
      append(i, 0, static_cast<std::uint32_t>(span.size));
    }
  }

  void begin_chunk(std::uint8_t scalar_size) {
    layout_.chunks.push_back({layout_.parts.size(), 0, 0, scalar_size});
  }

  // Adds bytes of a storage to the newest chunk.
  void append(std::size_t storage, std::uint64_t begin, std::uint32_t size) {
    PlannedChunk& chunk = layout_.chunks.back();
    const auto offset = static_cast<std::uint32_t>(format::align_up(chunk.raw_size, 8));
    layout_.parts.push_back({layout_.spans[storage].data + begin, offset, size,
                             static_cast<std::uint32_t>(storage), begin});
    const auto number = static_cast<std::uint32_t>(layout_.chunks.size() - 1);
    layout_.storages[storage].pieces.push_back({number, offset, size});
    chunk.raw_size = offset + size;
    ++chunk.part_count;
  }

  ChunkLayout& layout_;
  std::uint32_t chunk_size_;
};

}  // namespace

void check_chunk_size(std::uint32_t size) {
  if (size == 0 || size % 4096 != 0 || size > format::limits::chunk_raw_size) {
    throw Error(ErrorCode::invalid_argument,
                fmt::format("chunk_size is {}; it must be a multiple of 4096 between 4096 and {}",
                            size, format::limits::chunk_raw_size));
  }
}

std::uint64_t ChunkLayout::raw_size() const {
  std::uint64_t size = 0;
  for (const PlannedChunk& chunk : chunks) size += chunk.raw_size;
  return size;
}

ChunkLayout plan_chunks(const StateDict& state, std::uint32_t chunk_size) {
  std::vector<const TensorView*> tensors;
  tensors.reserve(state.tensors().size());
  for (const auto& [name, view] : state.tensors()) tensors.push_back(&view);
  ChunkLayout layout;
  describe_tensors(state, find_spans(tensors), layout);
  Cutter(layout, chunk_size).run();
  return layout;
}

std::span<const std::byte> chunk_bytes(const ChunkLayout& layout, const PlannedChunk& chunk,
                                       std::vector<std::byte>& scratch) {
  const auto parts = layout.parts_of(chunk);
  if (parts.size() == 1) return {parts[0].data, chunk.raw_size};
  scratch.assign(chunk.raw_size, std::byte{});
  for (const ChunkPart& part : parts) {
    std::memcpy(scratch.data() + part.offset, part.data, part.size);
  }
  return scratch;
}

}  // namespace ckp
