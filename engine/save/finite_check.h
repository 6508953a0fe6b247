// Looks for NaN and infinity while chunks are hashed and their bytes are in the cache.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "ckp/dtype.h"
#include "save/chunk_layout.h"

namespace ckp {

// By storage: whether one of its tensors asks for the check and has gaps, so that its whole span is
// needed at once.
std::vector<bool> storages_checked_whole(const ChunkLayout& layout);

// The floating tensors of a layout that ask for the check. Tensors without gaps are checked chunk
// by chunk, the others as a whole, touched elements only. The layout outlives the object; const
// members may be called from any number of threads.
class FiniteCheck {
 public:
  explicit FiniteCheck(const ChunkLayout& layout);

  // Whether a dense tensor has a NaN or an infinity in this part of a chunk.
  bool is_nonfinite(const ChunkPart& part) const;

  std::size_t strided_count() const { return strided_.size(); }
  bool is_strided_nonfinite(std::size_t index) const;

 private:
  // Bytes [begin, end) of a storage are elements of `dtype`.
  struct Range {
    std::uint32_t storage = 0;
    DType dtype = DType::float32;
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    std::uint64_t furthest = 0;  // the largest end so far within the storage
  };
  struct Strided {
    const format::TensorEntry* tensor = nullptr;
    const std::byte* first = nullptr;
  };
  void sort_ranges();

  std::vector<Range> ranges_;  // by storage, then begin
  std::vector<Strided> strided_;
};

}  // namespace ckp
