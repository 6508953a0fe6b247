// Sets of chunk numbers.
#pragma once

#include <cstdint>
#include <vector>

namespace ckp {

// Kept as ranges: checkpoints share neighbouring chunks, and there may be millions.
class ChunkNumbers {
 public:
  ChunkNumbers() = default;
  explicit ChunkNumbers(std::vector<std::uint32_t> numbers);  // in any order, also repeated
  void add(const ChunkNumbers& others);
  bool contains(std::uint32_t number) const;
  bool contains_all(const ChunkNumbers& others) const;
  std::uint64_t size() const;

 private:
  struct Range {
    std::uint32_t first = 0, last = 0;
  };
  void normalise();
  const Range* range_of(std::uint32_t number) const;

  std::vector<Range> ranges_;  // rising, with gaps between them
};

}  // namespace ckp
