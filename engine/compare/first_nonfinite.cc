#include <algorithm>
#include <optional>
#include <unordered_set>

#include "ckp/error.h"
#include "ckp/history.h"
#include "compare/element_change.h"
#include "compare/nonfinite.h"
#include "compare/tensor_walk.h"
#include "compare/walk_history.h"
#include "save/strided_view.h"

namespace ckp {
namespace {

constexpr std::uint64_t smallest_known = 4096;

// Elements of one type, side by side in a piece.
struct ChunkStretch {
  Digest content;
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
  DType dtype = DType::float32;
  friend bool operator==(const ChunkStretch&, const ChunkStretch&) = default;
};

struct StretchHash {
  std::size_t operator()(const ChunkStretch& stretch) const {
    return static_cast<std::size_t>(stretch.content.low ^ stretch.offset * 0x9e3779b97f4a7c15u);
  }
};

class NonfiniteScan {
 public:
  // The first element of the tensor that is NaN or infinite.
  std::optional<NonfiniteElement> scan(const format::Manifest& manifest,
                                       const format::TensorEntry& tensor, ChunkCache& chunks) {
    if (!is_floating(tensor.dtype)) return std::nullopt;
    const std::uint64_t element = size_of(tensor.dtype);
    TensorBytes bytes(manifest, tensor, chunks);
    const TensorWalk walk(tensor, tensor);
    const bool dense = is_dense(tensor.shape, tensor.strides);
    std::optional<std::uint64_t> first;
    bool nan = false;
    walk_blocks(walk, bytes, bytes, [&](const TensorWalk::Row& block) {
      const std::uint64_t size = block.count * element;
      const TensorBytes::Place place = bytes.find(block.a);
      const ChunkStretch stretch{place.content, place.offset, size, tensor.dtype};
      // Not each short row of a strided tensor, and not an element that lies in several chunks.
      const bool may_be_known = place.rest >= size && (dense || size >= smallest_known);
      if (may_be_known && finite_.contains(stretch)) return;
      const std::byte* const data = bytes.read(block.a, block.count);
      bytes_read_ += size;
      if (!has_nonfinite(tensor.dtype, data, size)) {
        if (may_be_known) finite_.insert(stretch);
        return;
      }
      for (std::uint64_t i = 0; i < block.count; ++i) {
        const ElementKind kind = kind_of_element(tensor.dtype, data + i * element);
        if (kind == ElementKind::finite) continue;
        const std::uint64_t number = walk.number_at(block.position + i);
        if (first.has_value() && *first <= number) continue;
        first = number;
        nan = kind == ElementKind::nan;
      }
    });
    if (!first.has_value()) return std::nullopt;
    return nonfinite_element(*first, tensor.shape, nan);
  }

  std::uint64_t bytes_read() const { return bytes_read_; }

 private:
  std::unordered_set<ChunkStretch, StretchHash> finite_;
  std::uint64_t bytes_read_ = 0;
};

// Looks at one checkpoint; false when it was cancelled.
bool scan_checkpoint(const Checkpoint& checkpoint, const HistoryOptions& options,
                     NonfiniteScan& scan, FirstNonfinite& result) {
  ChunkCache chunks(checkpoint.parts());
  std::vector<NonfiniteTensor> found;
  bool whole = true;
  for (const format::TensorEntry& tensor : checkpoint.manifest().tensors) {
    if (!is_wanted(options, tensor.name)) continue;
    if (options.cancelled && options.cancelled()) return false;
    try {
      auto first = scan.scan(checkpoint.manifest(), tensor, chunks);
      if (first) found.push_back({tensor.name, {tensor.dtype, tensor.shape}, std::move(*first)});
    } catch (const Error& error) {
      if (error.code() != ErrorCode::corrupt) throw;
      whole = false;
      const auto known = std::find(result.damage.begin(), result.damage.end(), error.what());
      if (known == result.damage.end()) result.damage.emplace_back(error.what());
    }
  }
  ++result.checkpoints_read;
  if (!found.empty()) {
    result.checkpoint = checkpoint.record();
    result.tensors = std::move(found);
  } else if (whole) {
    result.last_good = checkpoint.record();
  }
  return true;
}

}  // namespace

FirstNonfinite find_first_nonfinite(const Store& store,
                                    std::span<const CheckpointRecord> checkpoints,
                                    const HistoryOptions& options) {
  FirstNonfinite result;
  NonfiniteScan scan;
  walk_history(
      store, checkpoints, options,
      [&](const CheckpointRecord&, const Checkpoint* checkpoint, const std::string& damage) {
        if (checkpoint == nullptr) {
          result.damage.push_back(damage);
          return true;
        }
        result.complete = scan_checkpoint(*checkpoint, options, scan, result);
        return result.complete && !result.checkpoint.has_value();
      });
  result.bytes_read = scan.bytes_read();
  return result;
}

}  // namespace ckp
