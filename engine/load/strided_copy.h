// From a tensor's stored bytes to the memory it is loaded into.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace ckp {

// How the stored span of a tensor, its bytes from the first to the last element touched, maps to
// target memory of the same shape and other strides. The bytes may be given in any pieces, also
// such as cut through an element, in any order and from several threads.
class StridedCopy {
 public:
  // Strides in elements, none negative, as many as dimensions.
  StridedCopy(std::size_t element_size, std::span<const std::int64_t> shape,
              std::span<const std::int64_t> from_strides, std::span<const std::int64_t> to_strides);

  // Bytes of the stored span; 0 for a tensor without elements.
  std::uint64_t size() const { return size_; }
  // Whether the span and the target hold the same bytes in the same order without gaps.
  bool is_linear() const { return linear_; }
  // Takes bytes [begin, begin + bytes.size()) of the span to where they belong in the target,
  // whose first element is at `to`. Linear: the source may be the destination itself.
  void copy(std::uint64_t begin, std::span<const std::byte> bytes, std::byte* to) const;

 private:
  struct Dimension {
    std::uint64_t count = 0;
    std::uint64_t from = 0;  // step in bytes
    std::uint64_t to = 0;    // step in bytes
    std::uint64_t rest = 0;  // bytes of the span of the dimensions inside this one
  };
  struct Window;
  void copy_dimension(const Window& window, std::size_t d, std::uint64_t from,
                      std::uint64_t to) const;
  void copy_row(const Window& window, const Dimension& row, std::uint64_t from,
                std::uint64_t to) const;
  void join_dimensions();

  std::uint64_t element_size_;
  std::uint64_t size_ = 0;
  bool linear_ = false;
  std::vector<Dimension> dimensions_;  // outermost first; stored steps fall, repeats come first
};

}  // namespace ckp
